"""Faces, FairFace (profile course) or scikit-image's LFW subset (starter), and photographs without people."""

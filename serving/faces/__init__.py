"""The faces API: where are faces in this photograph, and how fairly are they found?"""

"""Lab 2B: is there a face in the picture, and is that found equally well for everybody?"""

"""The digits API: which digit is on this picture?"""

"""The generation API: pictures of a seed."""

"""Raw data: where it comes from, how it is recognised, how it is pinned and checked."""

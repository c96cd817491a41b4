"""The music API: tunes that a model writes, checked, and played."""

"""What the lab digits reads of generated pictures."""

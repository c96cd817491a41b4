"""What judges a model of digits."""

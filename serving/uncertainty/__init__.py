"""The uncertainty API: a number, and how sure the model is of it."""

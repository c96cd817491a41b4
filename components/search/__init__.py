"""A search over a lab's training parameters with Optuna, on the figure that the lab watches on validation data."""

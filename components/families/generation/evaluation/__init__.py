"""Evaluation of a generator: distances of its pictures from real ones, a VAE's likelihood, the report."""

"""Evaluation of a classifier of digits: measures, corruptions, plots, the report."""

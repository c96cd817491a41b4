"""The audit of a face detector: recall of perceived groups with intervals, and whether it may be promoted. No torch."""

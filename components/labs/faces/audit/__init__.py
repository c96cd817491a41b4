"""The audit of a face detector: who is missed, how sure that is, and whether it may be promoted. numpy, no torch."""

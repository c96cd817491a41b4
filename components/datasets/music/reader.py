"""How tunes are set apart in the text that the model reads and writes."""

TUNE_START = "\n"
"""What stands before a tune's first character."""

TUNE_END = "\n\n"
"""What stands after its last one: an empty line parts the tunes of an ABC file."""

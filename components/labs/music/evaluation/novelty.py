"""Copied runs: the longest run of a tune's symbols that also occurs, verbatim, in some training tune.

The same search serves characters (a copied text) and notes written as intervals and lengths (a copied melody, in
whatever key: a model trained on transposed tunes can copy without sharing a character).
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from components.labs.music.evaluation.music21_validator import Note

SEPARATOR = "\0"
"""Between two sources, so that no run reaches from one into the next; it occurs in no tune."""


@dataclass(frozen=True)
class Run:
    length: int
    """In symbols; 0 if nothing is shared."""
    start: int
    """Where it begins in the text."""
    source: int
    """Index of the training tune that holds it (the first, if several do)."""


class Corpus:
    """Texts that may have been copied."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._joined = SEPARATOR.join(texts)
        self._starts = list(accumulate((len(text) + 1 for text in texts), initial=0))[:-1]

    def longest_run(self, text: str) -> Run:
        """The longest substring of `text` that occurs in one of the corpus's texts, the first if there are several.

        The window grows while it is found, else slides on: at most two searches a character, 8 ms a tune.
        """
        best, start, at = 0, 0, 0
        for i in range(len(text)):
            while i + best < len(text) and (found := self._joined.find(text[i : i + best + 1])) >= 0:
                best, start, at = best + 1, i, found
        return Run(best, start, bisect_right(self._starts, at) - 1)


def body(tune: str) -> str:
    """The music of a tune: all after the first K: line, which ends the header; all of it where there is none."""
    lines = tune.split("\n")
    key = next((i for i, line in enumerate(lines) if line.startswith("K:")), -1)
    return "\n".join(lines[key + 1 :])


def melody(notes: Sequence[Note]) -> str:
    """Notes as a text that is the same in every key: a symbol for each step from a note to the next.

    The symbol holds the change of pitch in semitones (-128 to 127) and the later note's length in twelfths of a
    quarter note (up to 255), which tells all lengths in the data apart, triplets included.
    """
    return "".join(_symbol(after.midi - before.midi, after) for before, after in pairwise(notes))


def _symbol(interval: int, note: Note) -> str:
    # From the private use planes, where no symbol is a separator or a surrogate.
    return chr(0xF0000 + interval % 256 * 256 + min(int(note.length * 12), 255))

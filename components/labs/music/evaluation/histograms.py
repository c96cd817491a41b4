"""Histograms of a set of tunes: pitches, note lengths, keys, metres, form."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from components.labs.music.evaluation.music21_validator import Note, Reading
from components.labs.music.evaluation.novelty import body

LENGTH_BIN = 50
"""Characters; tunes are counted by length in steps of this."""


@dataclass(frozen=True)
class Tune:
    """A text and the music21 validator's reading of it."""

    text: str
    reading: Reading

    @property
    def notes(self) -> Sequence[Note]:
        return self.reading.notes

    def field(self, letter: str) -> str:
        """The first header field of that letter, or ''."""
        prefix = f"{letter}:"
        return next((line[2:].strip() for line in self.text.split("\n") if line.startswith(prefix)), "")


HISTOGRAMS: dict[str, Callable[[Tune], Iterable[str | int]]] = {
    # Relative to the tonic, so that tunes in different keys can be compared: 0 is the tonic, 7 the fifth.
    "pitch_class": lambda tune: ((note.midi - (tune.reading.tonic or 0)) % 12 for note in tune.notes),
    "pitch": lambda tune: (note.midi for note in tune.notes),
    "note_length": lambda tune: (str(note.length) for note in tune.notes),
    "tune_length": lambda tune: [len(tune.text) // LENGTH_BIN * LENGTH_BIN],
    # Form: tunes end on the tonic (0), and repeat most of their bars.
    "last_note": lambda tune: [(tune.notes[-1].midi - (tune.reading.tonic or 0)) % 12] if tune.notes else [],
    "repeated_bars": lambda tune: [_repeated_tenths(body(tune.text))],
    "key": lambda tune: [tune.field("K")],
    "metre": lambda tune: [tune.field("M")],
}
"""What is counted in each tune. Notes are counted in tunes that the validator could read to their end."""

WORDS = ("key", "metre")
"""Histograms of words; the others are of numbers."""


def _repeated_tenths(music: str) -> int:
    """Share of a tune's bars that it has had before, note for note, in tenths rounded down."""
    bars = [bar for bar in (re.sub(r"[^A-Ga-gz0-9,'/^_=<>()]", "", bar) for bar in music.split("|")) if bar]
    return 10 * (len(bars) - len(set(bars))) // max(1, len(bars))


def histograms(tunes: Iterable[Tune]) -> dict[str, Counter[str | int]]:
    """Counts of each of HISTOGRAMS over all tunes."""
    found: dict[str, Counter[str | int]] = {name: Counter() for name in HISTOGRAMS}
    for tune in tunes:
        for name, values in HISTOGRAMS.items():
            found[name].update(values(tune))
    return found

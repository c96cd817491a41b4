"""How long a plain bar is: the reader says the same in ten times as long, and most bars are plain."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from components.datasets.music.abc_notation import TICKS
from components.datasets.music.abc_parser import Reader
from components.datasets.music.music_theory import note_length

_PLAIN = re.compile(r"(?:[A-Ga-gz0-9/,'^_=<> -]|\((?=[2-9]))+\|!?\n?")
"""A bar of notes, rests and tuplets between two plain bar lines: what most bars are, and many more than once."""
_LENGTH = "([0-9]{0,2}(?:/(?:[0-9]{1,2}|/{0,5}))?)"
_NOTES = rf" *(?:(?:(?:\^{{1,2}}|_{{1,2}}|=)?[A-Ga-g][,']{{0,3}}|z){_LENGTH} *)+"
_SIMPLE = re.compile(rf"{_NOTES}\|!?\n?")
"""A plain bar without tuplets and broken rhythm: its notes' lengths add up."""
_PITCH = re.compile("[A-Ga-g]")
_SIMPLE_START = re.compile(rf"({_NOTES})[|:]")
_NOTE_LENGTHS = re.compile(f"[A-Ga-gz][,']{{0,3}}{_LENGTH}")


class LengthReader(Reader):
    """A reader that finds out how long bars are, and not what sounds in them."""

    def _pitch(self, accidental: str | None, letter: str, octave: str) -> int:
        return 0

    def read_music(self, line: str) -> None:
        """As of every reader, in less time where simple notes and a bar line begin the line."""
        busy = self._bar_ticks or self._tuplet_left or self._broken or self._decorated or self._chord is not None
        if not busy and (match := _SIMPLE_START.match(line)):
            notes = match[1]
            lengths = [_note_ticks(length, ticks(self.unit)) for length in _NOTE_LENGTHS.findall(notes)]
            if all(lengths):
                self._add((0,) if _PITCH.search(notes) else (), sum(lengths))
                line = line[len(notes) :]
        super().read_music(line)


@lru_cache(4096)
def plain_ticks(text: str, unit: int, compound: bool) -> int | None:
    """What a plain bar lasts; None where it is no plain bar or wrong. unit: ticks. compound: of Reader."""
    if _SIMPLE.fullmatch(text):
        notes = [_note_ticks(length, unit) for length in _NOTE_LENGTHS.findall(text)]
        return sum(notes) if all(notes) else None
    if not _PLAIN.fullmatch(text):
        return None
    reader = LengthReader(unit=Fraction(unit, TICKS))
    reader.compound = compound
    reader.read_music(text)
    return reader.bars[0].ticks if len(reader.bars) == 1 and not reader.faults else None


@lru_cache(1024)
def _note_ticks(length: str, unit: int) -> int:
    """What a note with this length behind it lasts; 0 where no note does. unit: ticks."""
    numerator, denominator = note_length(length) or (0, 1)
    return unit * numerator // denominator


def ticks(length: Fraction) -> int:
    return length.numerator * TICKS // length.denominator

"""Whether a bar of a wrong length can still become right by what follows it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from components.datasets.music.abc_notation import TICKS, Bar, unfitting, wrong_length
from components.datasets.music.abc_parser import Reader

_OPENING = re.compile(r"\|[ :\n!]*(?:\[?[1-9][1-9,-]*|\[)?$")
"""The end of a bar line that starts a section or an ending."""
_PLAIN_LINE = re.compile(r"[^|:\]]\|$")


def beyond_repair(reader: Reader, bars: Sequence[Bar], before: int) -> str:
    """Why the bars cannot all become right any more; "" where they can.

    reader: what is open after them. before: how many of them were looked at already.
    """
    new = bars[before:]
    if not reader.opens and all(bar.ticks == bar.full and not (bar.opens or bar.closes) for bar in new):
        return ""
    wrong = list(unfitting(bars))
    completable = _completable(reader, bars)
    for bar in wrong:
        too_long = bar.full is not None and bar.ticks > bar.full
        # One more bar completes one bar: a tune with two that wait could not be closed.
        if too_long or bar.number - 1 not in completable or len(wrong) > 1:
            return wrong_length(bar)
    return ""


def _completable(reader: Reader, bars: Sequence[Bar]) -> set[int]:
    """Indices of the bars that a bar which is still to come can complete, where they are short."""
    if not bars:
        return set()
    start = max((index for index, bar in enumerate(bars) if bar.opens and not bar.ending), default=0)
    last = len(bars) - 1
    found = {last} if bars[last].closes else set()
    if reader.ending or not reader.opens:  # the section goes on
        found.add(start)
    return found


def unfillable(bar: Bar) -> bool:
    """Whether it is short by what no single note can last: the rest of a tuplet is in another bar."""
    if bar.full is None or not 0 < bar.ticks < bar.full:
        return False
    rest = Fraction(bar.full - bar.ticks, TICKS).denominator
    return rest & (rest - 1) != 0


def as_ended(text: str) -> str:
    """A text that ends with a bar line as the whole tune would end with it: nothing starts there any more."""
    text = _OPENING.sub("|", text.rstrip(" \n!"))
    return f"{text}]!" if _PLAIN_LINE.search(text) else f"{text}!"


def written(length: Fraction) -> str:
    """As it stands after a note."""
    number = "" if length.numerator == 1 else str(length.numerator)
    return number if length.denominator == 1 else f"{number}/{length.denominator}"


def sounds(reader: Reader) -> bool:
    return any(note.pitches for note in reader.notes)

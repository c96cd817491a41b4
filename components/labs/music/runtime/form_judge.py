"""Whether the bars of a tune that is being written follow the form that the tune is to have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from components.datasets.music.abc_notation import TICKS, Bar
from components.datasets.music.elements import Mark
from components.datasets.music.form_reader import Form, Part


class Place(NamedTuple):
    """Where the bars end in the form."""

    fault: str = ""
    """How they differ from it; "" where they do not."""
    left: int = 0
    """Full bars between plain bar lines that may follow before the bar that ends the part."""
    complete: bool = False
    """All parts are there, and the last one has ended."""
    next: int = 0
    """Index of the bar that comes next, pickups not counted."""
    pickup: bool = False
    """A pickup comes before it."""


def place(form: Form, bars: Sequence[Bar], ending: bool, marks: Sequence[Mark] = ()) -> Place:
    """ending: the next bar starts an ending. marks: of the newest bars, which say whether the last part is repeated."""
    signs = [mark.sign for mark in marks if mark.sign != "|"]
    repeats = any(sign.startswith(":") for sign in signs) if signs else None
    sections = list(_sections(bars))
    if len(sections) > len(form.parts):
        return Place(f"a part more than the {len(form.parts)} that it is to have")
    pickup = form.pickup.numerator * TICKS // form.pickup.denominator
    for number, section in enumerate(sections):
        part, last = form.parts[number], number == len(sections) - 1
        if fault := _fault(part, pickup, section, ending and last, repeats if last else None):
            return Place(f"part {number + 1}: {fault}")
        if not last and not _ended(part, section, ending=False):
            return Place(f"part {number + 1} has not ended")
    if not sections:
        return Place(pickup=pickup > 0)
    part, section = form.parts[len(sections) - 1], sections[-1]
    full = section[0].full or 1
    left = max(0, -((sum(bar.ticks for bar in _passes(section)[-1]) - part.bars * full) // full) - 1)
    ended = _ended(part, section, ending)
    count = sum(part.bars for part in form.parts[: len(sections) - 1 + ended])
    begun = 0 if ended else len(section) - (pickup > 0)
    return Place("", left, len(sections) == len(form.parts) and ended, count + begun, ended and pickup > 0)


def _sections(bars: Sequence[Bar]) -> Iterator[Sequence[Bar]]:
    starts = [index for index, bar in enumerate(bars) if bar.opens and not bar.ending]
    for start, end in zip(starts, [*starts[1:], len(bars)], strict=False):
        yield bars[start:end]


def _passes(section: Sequence[Bar]) -> list[Sequence[Bar]]:
    """What is played the first time, and the second time where it has another ending."""
    endings = [index for index, bar in enumerate(section) if bar.ending]
    if len(endings) < 2:
        return [section]
    return [section[: endings[1]], [*section[: endings[0]], *section[endings[1] :]]]


def _ended(part: Part, section: Sequence[Bar], ending: bool) -> bool:
    passes = _passes(section)
    return section[-1].closes and not ending and (part.end != "[" or len(passes) == 2)


def _fault(part: Part, pickup: int, section: Sequence[Bar], ending: bool, repeats: bool | None) -> str:
    full = section[0].full or 0
    if section[0].ticks != (pickup or full):
        return "its pickup is another"
    endings = sum(bar.ending for bar in section) + ending
    if endings > (2 if part.end == "[" else 0):
        return "an ending"
    passes = _passes(section)
    for number, bars in enumerate(passes):
        if fault := _wrong_end(part.bars * full, bars, ending and number == len(passes) - 1):
            return fault
    closes = section[-1].closes and not ending
    if closes and part.end == "[" and not endings:
        return "it ends without an ending"
    if closes and part.end != "[" and repeats is not None and repeats != part.repeated:
        return "a repeat sign" if repeats else "no repeat sign"
    return ""


def _wrong_end(length: int, bars: Sequence[Bar], ending: bool) -> str:
    """length: ticks of a pass. ending: an ending follows."""
    ticks = 0
    before_first = ending and not any(bar.ending for bar in bars)
    for index, bar in enumerate(bars):
        ticks += bar.ticks
        before_ending = bars[index + 1].ending if index + 1 < len(bars) else before_first
        ends = bar.closes and not before_ending
        if ticks > length:
            return "it is too long"
        if ends and ticks < length:
            return "it ends too soon"
        if ticks == length and not ends:
            return "it does not end in time"
    return ""

"""ABC notation, the part of the 2.1 standard that these tunes use: reading a tune and judging whether it is one.

This is the sampler's own check: it decides what /generate may return, so it reads any text at all, in time linear in
its length, raises nothing, and loads nothing slow. https://abcnotation.com/wiki/abc:standard:v2.1

When is a bar right? Between two plain bar lines it lasts exactly as long as the metre says, and no bar is ever longer.
At the edges of a section (the ends of the tune, `:|`, `|:`, `::`, `||`, `|]`, `[|`, and where an ending starts) it may
be shorter, because a tune that starts with a pickup takes those beats from the bar before it. So a short bar needs its
other half: what ends a section, and a pickup that is played next (of the section that follows, of the section that is
repeated, or of an ending) are together one full bar. This holds in 98 % of the real tunes that have notes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from components.datasets.music.abc_parser import Reader
from components.datasets.music.elements import TICKS, Bar, Mark, Note
from components.datasets.music.music_theory import key_signature

__all__ = ["REQUIRED", "TICKS", "Bar", "Note", "Tune", "check", "key_signature", "parse_tune"]

REQUIRED = ("X", "M", "L", "K")
"""Headers without which the notes mean nothing; T: (the title) is usual."""

_HEADER = re.compile(r"([A-Za-z]):(.*)")
_TYPE = re.compile(r"id:[a-z]+-([a-z-]+)-[0-9]+")


@dataclass(frozen=True)
class Tune:
    headers: dict[str, str]
    """First field of each letter, up to and including K."""
    key: dict[str, int] | None
    """Accidental of each altered note name, such as {"F": 1, "C": 1}; None if the key is unknown."""
    metre: Fraction | None
    """Length of a bar in whole notes; None if unknown."""
    unit: Fraction
    """What a note without a length lasts, in whole notes."""
    notes: tuple[Note, ...]
    """In the order written: repeats are not played out."""
    bars: tuple[Bar, ...]
    faults: tuple[str, ...]
    """What could not be read, and where."""
    marks: tuple[Mark, ...] = ()
    """Bar lines, endings and parts: what says in which order the notes are played."""

    @property
    def type(self) -> str:
        """The kind of tune that its Z: field names (`id:dc-hornpipe-1`: hornpipe), or ''."""
        match = _TYPE.search(self.headers.get("Z", ""))
        return match[1] if match else ""

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words; [] is valid ABC."""
        problems = [f"no {letter}: field" for letter in REQUIRED if letter not in self.headers]
        if not any(note.pitches for note in self.notes):
            problems.append("no notes")
        return [*problems, *self.faults, *(problem for _, problem in self.wrong_bars)]

    @property
    def wrong_bars(self) -> list[tuple[Bar, str]]:
        """Bars that do not add up (see the top of this file), each with what is wrong."""
        return list(wrong_bars(self.bars))


def check(text: str) -> list[str]:
    """What is wrong with a tune, in words; [] is valid ABC. Never raises."""
    return parse_tune(text).problems


def parse_tune(text: str) -> Tune:
    """Reads one tune as far as it can be read; what cannot be is in `faults`. Never raises.

    A tune ends at the first empty line; text after it is a fault.
    """
    lines = text.strip().split("\n")
    reader = Reader()
    headers, body = _read_headers(lines, reader)
    key, metre, unit = reader.key, reader.metre, reader.unit
    for number, line in enumerate(lines[body:], start=body + 1):
        if not line.strip():
            reader.faults.append(f"line {number}: text after an empty line, which ends a tune")
            break
        reader.read_line(line.split("%", 1)[0], number)
    reader.finish()
    notes, bars, marks = tuple(reader.notes), tuple(reader.bars), tuple(reader.marks)
    return Tune(headers, key, metre, unit, notes, bars, tuple(reader.faults), marks)


def _read_headers(lines: list[str], reader: Reader) -> tuple[dict[str, str], int]:
    """The fields up to K:, and the number of lines they take."""
    headers: dict[str, str] = {}
    for number, line in enumerate(lines):
        if line.startswith("%"):
            continue
        match = _HEADER.match(line.split("%", 1)[0])
        if match is None:
            return headers, number
        letter, value = match[1], match[2].strip()
        if (letter == "X") == bool(headers):
            reader.faults.append("the first field is not X:" if not headers else "a second X: field")
        if letter == "X" and not (value.isascii() and value.isdigit()):
            reader.faults.append(f"X: is not a number but {value[:20]!r}")
        headers.setdefault(letter, value)
        reader.read_field(letter, value)
        if letter == "K":
            return headers, number + 1
    return headers, len(lines)


def wrong_bars(bars: Sequence[Bar]) -> Iterator[tuple[Bar, str]]:
    """Bars that do not add up, each with what is wrong, if the tune ends with the last of them."""
    for bar in unfitting(bars):
        yield bar, wrong_length(bar)


def unfitting(bars: Sequence[Bar]) -> Iterator[Bar]:
    """Bars that do not add up, if the tune ends with the last of them."""
    completed: set[int] = set()
    for before, after in _joins(bars):
        if bars[before].ticks + bars[after].ticks == bars[before].full:
            completed |= {before, after}
    for index, bar in enumerate(bars):
        if bar.full is not None and bar.ticks != bar.full and index not in completed:
            yield bar


def wrong_length(bar: Bar) -> str:
    """What is wrong with a bar that does not add up."""
    full = bar.full or 0
    reason = "is too long" if bar.ticks > full else "is too short"
    if bar.ticks < full and (bar.opens or bar.closes):
        reason += " and nothing completes it"
    return f"bar {bar.number} (line {bar.line}) {reason}: {bar.length} of {Fraction(full, TICKS)}"


def _joins(bars: Sequence[Bar]) -> Iterator[tuple[int, int]]:
    """Pairs of bars that meet at an edge: one that closes a section, and one played after it."""
    start: int = 0
    stem: int | None = None
    for index, bar in enumerate(bars):
        if bar.opens and not bar.ending:
            start, stem = index, None
        elif bar.ending and index:
            # The second ending, too, is played after the bar before the first.
            stem = index - 1 if stem is None else stem
            yield stem, index
        if bar.closes:
            yield index, start
            if index + 1 < len(bars):
                yield index, index + 1

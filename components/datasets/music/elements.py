"""What music in ABC is made of once it is read: notes, bars, and the marks between them."""

from fractions import Fraction
from typing import NamedTuple

TICKS = 315 * 2**18
"""Ticks in a whole note: the least that make every length below a whole number.

315 * 2**3 holds tuplets of up to nine; the other powers of two are for unit lengths (64), lengths of notes (64) and
broken rhythm (8). Fractions in the inner loop would take five times as long.
"""


class Note(NamedTuple):
    """A note, a chord or a rest."""

    pitches: tuple[int, ...]
    """MIDI numbers (middle C is 60); empty for a rest."""
    ticks: int
    tied: bool = False
    """Held into the next note."""
    held: tuple[int, ...] = ()
    """The pitches of a chord that have a tie of their own."""

    @property
    def duration(self) -> Fraction:
        """In whole notes."""
        return Fraction(self.ticks, TICKS)


class Bar(NamedTuple):
    number: int
    """From 1, as written: a pickup counts."""
    line: int
    """Line of the text where it ends, from 1."""
    ticks: int
    full: int | None
    """Ticks that the metre asks for; None where the metre is unknown."""
    opens: bool
    """It follows the edge of a section, so it may be a pickup."""
    closes: bool = False
    """It precedes the edge of a section, so it may be short."""
    ending: bool = False
    """It starts an ending: a repeat goes back to where the section before opened."""

    @property
    def length(self) -> Fraction:
        """In whole notes."""
        return Fraction(self.ticks, TICKS)


class Mark(NamedTuple):
    """A bar line, the start of an ending or the start of a part: what says in which order the notes are played."""

    place: int
    """Notes that stand before it."""
    sign: str
    """A bar line such as ":|"; "" at an ending without one, and at a part."""
    endings: tuple[int, ...] = ()
    """The passes on which what follows is played; () where no ending starts."""
    part: str = ""
    """Name of the part that starts here."""


def passes(numbers: str) -> tuple[int, ...]:
    """The passes that an ending is for: "1" is (1,), "1,3" is (1, 3), "2-4" is (2, 3, 4)."""
    found: list[int] = []
    for part in numbers.split(",") if numbers else []:
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)

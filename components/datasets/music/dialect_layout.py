"""The bars of a tune as the lab's collection lays them out: four a line with `!` at its end, a space between beats."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from components.datasets.music.elements import TICKS, Note

BEATS = {"6/8": 3, "9/8": 3, "C": 4, "C|": 4}
"""Eighths that are written without a space; two in other metres."""
PER_LINE = 4
"""Bars."""


@dataclass
class Event:
    """A note or a rest as it is written."""

    text: str
    note: Note
    glue: str = ""
    """`>`, `<` or `-` after it."""
    triplet: bool = False
    """A triplet starts here."""


@dataclass
class Bar:
    events: list[Event] = field(default_factory=list)
    ending: str = ""
    sign: str = "|"
    """`|`, `|]` or `:|`: what ends it."""

    @property
    def ticks(self) -> int:
        return sum(event.note.ticks for event in self.events)


def layout(bars: Sequence[Bar], beat: int, metre: Fraction) -> str:
    """The text of the bars. beat: ticks of the original that stand together."""
    full = metre.numerator * TICKS // metre.denominator
    text, in_line, opens, within = "", 0, True, False
    for number, bar in enumerate(bars):
        begins = f"[{bar.ending} " if bar.ending else ""
        within = in_line > 0 if bar.ending else within
        in_line += 0 if opens and bar.ticks < full else 1
        text += begins + _bar_text(bar, beat, full - bar.ticks if opens else 0) + bar.sign
        following = bars[number + 1] if number + 1 < len(bars) else None
        opens = bar.sign != "|" or bool(following and following.ending)
        ends_line = bar.sign != "|" or in_line >= PER_LINE
        if following and following.ending and bar.ending and within:
            ends_line = False  # short endings stand in one line
        if ends_line or following is None:
            text, in_line = f"{text}!\n", 0
    return text.rstrip("\n")


def _bar_text(bar: Bar, beat: int, position: int) -> str:
    """position: ticks of the bar that its first note stands at."""
    text, joined, in_triplet, apart = "", True, 0, False
    for event in bar.events:
        in_triplet = 3 if event.triplet else in_triplet
        if not joined and (position % beat == 0 or in_triplet == 3 or apart):
            text += " "
        text += ("(3" if event.triplet else "") + event.text + event.glue
        position += event.note.ticks
        ended = in_triplet == 1
        in_triplet = max(0, in_triplet - 1)
        joined = bool(event.glue) or in_triplet > 0
        apart = ended or event.note.ticks > beat
    return text

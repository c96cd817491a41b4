"""The form of a tune, and the control codes that say it: its pickup, its parts, and which bars come again in them.

"r:2 ....11b2:....1122:" is a tune with a pickup of two eighths and two repeated parts of eight bars. A character
stands for a bar: `.` is new, a digit says how many lines of four bars ago the tune had the same notes at the same
place, `b` two bars ago, `x` elsewhere. A part ends with `:` where it is played twice, with `[` where the second time
has an ending of its own, and with `|` where it is played once.

A model that was trained with codes reads the `head` before the tune (a remark of ABC 2.1, 3.1.1: `r:` is left out by
whatever plays a tune), and the code of each line of music before it. Nothing of them is part of the tune.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, Self

FIELD = "r:"
PHRASE = 4
"""Bars of a phrase, which is a line of the collection. Parts of another number of bars than a few phrases are odd."""
MOST_PHRASES = 4
"""A part has at most as many."""
NEW, TWO_AGO, ELSEWHERE = ".", "b", "x"
PICKUPS = {Fraction(1, 2): "h", **{Fraction(eighths): str(eighths) for eighths in range(6)}}
"""Codes of the pickups that tunes have, by their eighths."""
CODES = frozenset(f"{FIELD} 0123456789/|:[-\n{NEW}{TWO_AGO}{ELSEWHERE}{''.join(PICKUPS.values())}")
"""Characters that codes are made of: a model that reads them must know all of these."""

_LINE = re.compile(rf"{FIELD}([0-9]+(?:/[0-9]+)?) ((?:(?:[.bx1-9]{{{PHRASE}}}){{1,{MOST_PHRASES}}}[:|[])+)")
_PART = re.compile(r"([.bx0-9]+)([:|[])")


class Part(NamedTuple):
    """What stands between two ends of sections."""

    again: str
    """A character for each bar that is played in one pass; a pickup and the short bar at the end are one."""
    end: str
    """":" played twice, "[" played twice with two endings, "|" played once."""

    @property
    def bars(self) -> int:
        return len(self.again)

    @property
    def repeated(self) -> bool:
        return self.end != "|"


@dataclass(frozen=True)
class Form:
    """What the codes say. Every part has the pickup."""

    pickup: Fraction
    """Whole notes; 0 where there is none."""
    parts: tuple[Part, ...]

    @property
    def line(self) -> str:
        """All of it."""
        return f"{FIELD}{self.pickup * 8} {''.join(part.again + part.end for part in self.parts)}"

    @property
    def head(self) -> str:
        """What a model reads before the tune: the pickup, and the bars of each part ("r:2 8:8:")."""
        return f"{FIELD}{self.pickup * 8} {''.join(f'{part.bars}{part.end}' for part in self.parts)}\n"

    @property
    def codes(self) -> list[str]:
        """What a model reads before each line of music: the pickup, its bars, and how it ends ("2....-", "211b2:")."""
        pickup = PICKUPS[self.pickup * 8]
        return [
            f"{pickup}{part.again[bar : bar + PHRASE]}{'-' if bar + PHRASE < part.bars else part.end}"
            for part in self.parts
            for bar in range(0, part.bars, PHRASE)
        ]

    @classmethod
    def of_line(cls, line: str) -> Self:
        """Raises ValueError where it says no form."""
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"{line!r} is no form")
        return cls(Fraction(match[1]) / 8, tuple(Part(again, end) for again, end in _PART.findall(match[2])))


def music_start(text: str) -> int:
    """Where the music starts: after the line K:."""
    match = re.search(r"^K:.*\n", text, re.MULTILINE)
    return match.end() if match else len(text)

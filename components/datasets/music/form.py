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
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple, Self

from components.datasets.music.abc_notation import Tune
from components.datasets.music.elements import TICKS, Bar

FIELD = "r:"
PHRASE = 4
"""Bars of a phrase, which is a line of the collection. Parts of another number of bars than a few phrases are odd."""
MOST_PHRASES = 4
"""Of a part."""
NEW, TWO_AGO, ELSEWHERE = ".", "b", "x"
_PICKUPS = {Fraction(1, 2): "h", **{Fraction(eighths): str(eighths) for eighths in range(6)}}
"""Codes of the pickups that tunes have, by their eighths."""

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
        pickup = _PICKUPS[self.pickup * 8]
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


def find_form(tune: Tune) -> Form | None:
    """The form of a tune; None where it is not valid, or odd: other numbers of bars, or pickups that differ."""
    if tune.problems or len({bar.full for bar in tune.bars}) != 1:
        return None
    sections = list(_sections(tune))
    firsts = [section.bars[0] for section in sections]
    pickup = firsts[0].ticks if firsts[0].ticks < (firsts[0].full or 0) else 0
    heard: list[object] = []
    parts = [_part(section, pickup, heard) for section in sections]
    if not all(parts):
        return None
    return Form(Fraction(pickup, TICKS), tuple(part for part in parts if part))


def coded_form(tune: Tune, text: str) -> Form | None:
    """The form of a tune whose lines of music can be told by codes: a phrase each, and no endings; else None."""
    form = find_form(tune)
    if form is None or form.pickup * 8 not in _PICKUPS or any(part.end == "[" for part in form.parts):
        return None
    opening = 1 if form.pickup else 0
    wanted = [PHRASE + (opening if bar == 0 else 0) for part in form.parts for bar in range(0, part.bars, PHRASE)]
    music = text[music_start(text) :].strip().count("\n") + 1
    found = [count for _, count in sorted(Counter(bar.line for bar in tune.bars).items())]
    return form if found == wanted and music == len(wanted) else None


def music_start(text: str) -> int:
    """Where the music starts: after the line K:."""
    match = re.search(r"^K:.*\n", text, re.MULTILINE)
    return match.end() if match else len(text)


class _Section(NamedTuple):
    bars: Sequence[Bar]
    notes: Sequence[object]
    """Of each bar."""
    repeated: bool


def _sections(tune: Tune) -> Iterator[_Section]:
    """From one edge to the next; endings belong to what they end."""
    stops = _stops(tune)
    starts = [index for index, bar in enumerate(tune.bars) if bar.opens and not bar.ending]
    signs = {mark.place for mark in tune.marks if mark.sign.startswith(":")}
    for start, end in zip(starts, [*starts[1:], len(tune.bars)], strict=True):
        notes = [
            tuple((note.pitches, note.ticks) for note in tune.notes[stops[index] : stops[index + 1]])
            for index in range(start, end)
        ]
        yield _Section(tune.bars[start:end], notes, any(stop in signs for stop in stops[start + 1 : end + 1]))


def _stops(tune: Tune) -> list[int]:
    """How many notes stand before each bar, and how many in all."""
    at = {ticks: count for count, ticks in enumerate(accumulate((note.ticks for note in tune.notes), initial=0))}
    return [at[ticks] for ticks in accumulate((bar.ticks for bar in tune.bars), initial=0)]


def _part(section: _Section, pickup: int, heard: list[object]) -> Part | None:
    """heard: the bars before, to which those of the section are added."""
    bars, full = section.bars, section.bars[0].full or 0
    endings = [index for index, bar in enumerate(bars) if bar.ending]
    if len(endings) not in (0, 2):
        return None
    first, second = endings or (len(bars), len(bars))
    if (bars[0].ticks if bars[0].ticks < full else 0) != pickup:
        return None
    ticks = [sum(bar.ticks for bar in part) for part in (bars[:second], [*bars[:first], *bars[second:]])]
    phrases, rest = divmod(ticks[0], PHRASE * full)
    opening = 1 if pickup else 0
    if rest or not 0 < phrases <= MOST_PHRASES or (endings and ticks[0] != ticks[1]):
        return None
    if second - opening != PHRASE * phrases:
        return None
    again = ""
    for notes in section.notes[opening:]:
        again += _code(notes, heard)
        heard.append(notes)
    return Part(again[: PHRASE * phrases], "[" if endings else ":" if section.repeated else "|")


def _code(notes: object, heard: Sequence[object]) -> str:
    ago = [len(heard) - index for index, other in enumerate(heard) if other == notes]
    lines = [bars // PHRASE for bars in ago if bars % PHRASE == 0 and bars // PHRASE <= 9]
    if lines:
        return str(min(lines))
    return NEW if not ago else TWO_AGO if 2 in ago else ELSEWHERE

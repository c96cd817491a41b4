"""The order in which the notes of a tune are played: repeats, endings and parts (ABC 2.1, chapters 3.1.9 and 4.8 on).

A repeat without a start goes back to the last double bar or repeat sign, as the standard has it. `|::` and `::|` repeat
twice.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from components.datasets.music.elements import Mark
from components.errors import UserError

MOST_PARTS = 1000
"""Parts that an order such as ((A9)9)9 may come to."""

MOST_NOTES = 100_000
"""Notes that may be played, repeats included."""

_ORDER = re.compile(r"[A-Z0-9(). ]+")


@dataclass
class _Bar:
    notes: range
    """Places of its notes in the tune."""
    endings: tuple[int, ...] = ()
    """Played only on these passes through its section; (): on each."""


@dataclass
class _Section:
    """What a repeat repeats: from one repeat sign or double bar to the next."""

    opened: bool = False
    """By a written `|:`, so that a double bar inside does not end it."""
    passes: int = 1
    bars: list[_Bar] = field(default_factory=list)

    def played(self) -> Iterator[_Bar]:
        passes = max(self.passes, *(number for bar in self.bars for number in bar.endings), 1)
        for number in range(1, passes + 1):
            yield from (bar for bar in self.bars if not bar.endings or number in bar.endings)


def played_bars(notes: int, marks: Sequence[Mark], order: str = "") -> list[range]:
    """The bars in the order in which they are played, as places of their notes.

    notes: how many the tune has. order: of its parts, such as "AAB" or "(AB)3C"; "" is the order in which they are
    written. Raises UserError where the order names a part that is not there, leaves one out, or is no order.
    """
    bars: list[range] = []
    left = MOST_NOTES
    for bar in _in_order(notes, marks, order):
        bars.append(bar)
        left -= len(bar)
        if left < 0:
            raise UserError(f"with its repeats it plays more than {MOST_NOTES:,} notes")
    return bars


def _in_order(notes: int, marks: Sequence[Mark], order: str) -> Iterator[range]:
    names = [mark.part for mark in marks if mark.part]
    if not (_ORDER.fullmatch(order) and names):
        return _unfold(0, notes, marks)
    sequence = expand(order)
    if missing := [name for name in sequence if name not in names]:
        raise UserError(f"P:{order} names part {missing[0]}, which the tune does not have")
    if silent := [name for name in names if name not in sequence]:
        raise UserError(f"part {silent[0]} of the tune is not in P:{order}")
    if len(set(names)) < len(names):
        raise UserError(f"P:{order} is the order of parts, but a part begins twice")
    parts = _parts(notes, marks)
    return (bar for name in ("", *sequence) for bar in _unfold(*parts[name]))


def expand(order: str) -> list[str]:
    """The parts one after another: "(AB)2C" is A, B, A, B, C. Raises UserError where it is no order or too long."""
    levels: list[list[str]] = [[]]
    last: list[str] = []
    for sign in re.findall(r"[A-Z()]|[0-9]+", order):
        if sign == "(":
            levels.append([])
            last = []
        elif sign == ")" and len(levels) > 1:
            last = levels.pop()
            levels[-1] += last
        elif sign.isdigit() and last:
            levels[-1] += last * (min(int(sign[:4]), MOST_PARTS) - 1)
            last = []
        elif sign.isalpha():
            last = [sign]
            levels[-1] += last
        else:
            raise UserError(f"P:{order} is no order of parts")
        if len(levels[-1]) > MOST_PARTS:
            raise UserError(f"P:{order[:20]} plays more than {MOST_PARTS} parts")
    if len(levels) > 1:
        raise UserError(f"P:{order} is no order of parts: '(' without ')'")
    return levels[0]


def _parts(notes: int, marks: Sequence[Mark]) -> dict[str, tuple[int, int, Sequence[Mark]]]:
    """First note, end and marks of each part; what comes before the first is the part ""."""
    starts = [index for index, mark in enumerate(marks) if mark.part]
    found = {"": (0, marks[starts[0]].place, marks[: starts[0]])}
    for start, end in zip(starts, [*starts[1:], len(marks)], strict=True):
        last = marks[end].place if end < len(marks) else notes
        found[marks[start].part] = (marks[start].place, last, marks[start + 1 : end])
    return found


def _unfold(start: int, end: int, marks: Sequence[Mark]) -> Iterator[range]:
    sections, place = [_Section(bars=[_Bar(range(start, start))])], start
    for mark in marks:
        sections[-1].bars[-1].notes = range(place, mark.place)
        place = mark.place
        _close_bar(sections, mark, place)
    sections[-1].bars[-1].notes = range(place, end)
    return (bar.notes for section in sections for bar in section.played() if bar.notes)


def _close_bar(sections: list[_Section], mark: Mark, place: int) -> None:
    section, last, sign = sections[-1], sections[-1].bars[-1], "||" if mark.part else mark.sign
    closes, opens = sign.startswith(":"), sign.endswith(":")
    fresh = _Bar(range(place, place))
    if closes:
        section.passes = max(section.passes, 1 + (1 if set(sign) == {":"} else len(sign) - len(sign.lstrip(":"))))
    double = sign in ("||", "|]") and not section.opened
    if opens or ((closes or double) and not mark.endings):
        count = len(sign) - len(sign.rstrip(":")) if sign.strip(":") else 1
        sections.append(_Section(opens, 1 + count if opens and count > 1 else 1, [fresh]))
        return
    if mark.endings and len(sections) > 1 and len(section.bars) == 1 and not last.notes:
        # `:| [2`: the sign seemed to end the section that this ending belongs to.
        sections.pop()
        sections[-1].bars.append(fresh)
        last = fresh
    elif last.notes:
        fresh.endings = () if closes else last.endings
        section.bars.append(fresh)
        last = fresh
    if mark.endings:
        last.endings = mark.endings

"""What the form of a tune says of the text that comes next: bars that the tune has had before, and bar lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from components.datasets.music.form_reader import PHRASE, Form, music_start

UNKNOWN = ""
"""In place of a bar of the tune that is not known, or not written yet."""

_BAR_LINE = re.compile(r"[|:\]!\n]+")


class LineCodes:
    """What a model reads before the lines of a tune, as the form has it."""

    def __init__(self, form: Form | None) -> None:
        self._codes = form.codes if form else []
        self._music_line: int | None = None

    def begin_line(self, text: str, line: int) -> None:
        """A line begins after this text: the music does where the text ends with the line K:."""
        if self._music_line is None and text.startswith("K:", text.rfind("\n", 0, -1) + 1):
            self._music_line = line

    def before(self, line: int) -> str:
        """The code of this line; "" where the form says nothing of it."""
        number = -1 if self._music_line is None else line - self._music_line
        return self._codes[number] if 0 <= number < len(self._codes) else ""

    def within(self, text: str, line: int) -> str:
        """The text, of which the first line is `line`, with the codes before its other lines."""
        first, *others = text.splitlines(keepends=True)
        others += [""] if text.endswith("\n") else []
        return first + "".join(self.before(line + 1 + number) + other for number, other in enumerate(others))


class Given(NamedTuple):
    """What the form says from the end of a bar's notes to the next notes that the model chooses."""

    bar_line: str
    """The bar line after these notes."""
    again: str
    """The bars after it that the tune has had before, with their bar lines."""
    bars: list[str]
    """Those of the tune with these, pickups not counted."""
    pickup: bool
    """The model chooses a pickup next."""


def given_after(form: Form, bars: Sequence[str], pickup: bool) -> Given:
    """bars: those of the tune, pickups not counted, UNKNOWN where they are not known; the last one has no bar line yet,
    or where `pickup` the pickup after it has none."""
    codes, opens = _codes_of(form)
    known, again = list(bars), ""
    line = "|" if pickup else bar_line(form, len(bars) - 1)
    while (index := len(known)) < len(codes) and (index not in opens or (pickup and not again)):
        source = _source(codes, index)
        if not source or known[-source] == UNKNOWN:
            break
        known.append(known[-source])
        again += known[-1] + bar_line(form, index)
    return Given(line, again, known, len(known) in opens and not (pickup and not again))


@lru_cache(1024)
def _codes_of(form: Form) -> tuple[str, frozenset[int]]:
    """The codes of all bars, and the bars before which there is a pickup."""
    starts = accumulate((part.bars for part in form.parts[:-1]), initial=0)
    return "".join(part.again for part in form.parts), frozenset(starts if form.pickup else ())


def bar_line(form: Form, index: int) -> str:
    """After the bar of this index, as the collection writes it: four bars a line."""
    for part in form.parts:
        if index < part.bars:
            if index + 1 == part.bars:
                return ":|!\n" if part.repeated else "|]!\n"
            return "|!\n" if (index + 1) % PHRASE == 0 else "|"
        index -= part.bars
    return "|"


def bars_of(form: Form, text: str, count: int) -> list[str]:
    """The first `count` bars of the tune so far, without pickups; UNKNOWN where they are not as many as these."""
    pieces = [piece.strip() for piece in _BAR_LINE.split(text[music_start(text) :]) if piece.strip()]
    found: list[str] = []
    for part in form.parts:
        if len(found) < count or (len(found) == count and pieces):
            pieces = pieces[1:] if form.pickup else pieces
            found += pieces[: part.bars]
            pieces = pieces[part.bars :]
    return found if len(found) == count and not pieces else [UNKNOWN] * count


def _source(codes: str, index: int) -> int:
    """How many bars ago the tune had this one; 0 where it is new, or elsewhere."""
    code = codes[index]
    return PHRASE * int(code) if code.isdigit() else 2 if code == "b" else 0

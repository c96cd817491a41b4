"""What the form of a tune says of the text that comes next: bars that the tune has had before, and bar lines."""

from __future__ import annotations

import re

from components.datasets.music.form_reader import PHRASE, Form, music_start
from components.labs.music.runtime.bars import BarJudge, Verdict
from components.labs.music.runtime.checkpoint import Checkpoint

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


def mended(place: Checkpoint, notes: str) -> tuple[BarJudge, str] | None:
    """The bar line that the form says after these notes of the bar that follows the place, and a judge that has read
    the notes; None where the bar is wrong with that bar line, too."""
    judge = place.judge.copy()
    if judge.form is None or any(judge.push(character) is Verdict.BAD for character in notes):
        return None
    line, ends = bar_line(judge.form, place.judge.place.next), judge.copy()
    verdicts = [ends.push(character) for character in f"{line}A"]
    return (judge, line) if verdicts[-1] is Verdict.BAR else None


def bar_line(form: Form, index: int) -> str:
    """After the bar of this index, as the collection writes it: four bars a line."""
    for part in form.parts:
        if index < part.bars:
            if index + 1 == part.bars:
                return ":|!\n" if part.repeated else "|]!\n"
            return "|!\n" if (index + 1) % PHRASE == 0 else "|"
        index -= part.bars
    return "|"


def said_again(form: Form, text: str, index: int) -> str:
    """The next bars of a tune as far as the form says that it has had them, with their bar lines; "" where it does not.

    text: of the tune so far. index: of the bar that comes next, pickups not counted.
    """
    again = "".join(part.again for part in form.parts)
    ends = [sum(part.bars for part in form.parts[: number + 1]) for number in range(len(form.parts))]
    if not 0 <= index < len(again) or not _source(again, index):
        return ""
    bars = _bars(form, text, index)
    found = ""
    while bars and index < len(again) and (source := _source(again, index)):
        bars.append(bars[-source])
        found += bars[-1] + bar_line(form, index)
        index += 1
        if index in ends and form.pickup:
            break
    return found


def _source(again: str, index: int) -> int:
    """How many bars ago the tune had this one; 0 where it is new, or elsewhere."""
    code = again[index]
    return PHRASE * int(code) if code.isdigit() else 2 if code == "b" else 0


def _bars(form: Form, text: str, count: int) -> list[str]:
    """The bars of the tune so far, without pickups; [] where they are not as many as these."""
    pieces = [piece.strip() for piece in _BAR_LINE.split(text[music_start(text) :]) if piece.strip()]
    found: list[str] = []
    for part in form.parts:
        if len(found) < count or (len(found) == count and pieces):
            pieces = pieces[1:] if form.pickup else pieces
            found += pieces[: part.bars]
            pieces = pieces[part.bars :]
    return found if len(found) == count and not pieces else []

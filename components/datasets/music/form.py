"""Finds the form of a tune, which `form_reader` says in control codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple

from components.datasets.music.abc_notation import Tune
from components.datasets.music.elements import TICKS, Bar
from components.datasets.music.form_reader import (
    ELSEWHERE,
    MOST_PHRASES,
    NEW,
    PHRASE,
    PICKUPS,
    TWO_AGO,
    Form,
    Part,
    music_start,
)


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
    if form is None or form.pickup * 8 not in PICKUPS or any(part.end == "[" for part in form.parts):
        return None
    opening = 1 if form.pickup else 0
    wanted = [PHRASE + (opening if bar == 0 else 0) for part in form.parts for bar in range(0, part.bars, PHRASE)]
    music = text[music_start(text) :].strip().count("\n") + 1
    found = [count for _, count in sorted(Counter(bar.line for bar in tune.bars).items())]
    return form if found == wanted and music == len(wanted) else None


class _Section(NamedTuple):
    bars: Sequence[Bar]
    notes: Sequence[object]
    """What each bar plays: pitches and lengths."""
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

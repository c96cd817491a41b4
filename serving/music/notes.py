"""A tune as it is played: repeats unfolded, ties joined, every note at its time.

Nothing here is C: the ABC players to be had (abc2midi, which symusic runs; verovio) crash on about one mutated tune in
a hundred, and this text comes from strangers. The tests hold it equal to abc2midi on the collection.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple

from components.datasets.music import abc_notation
from components.datasets.music.abc_parser import TICKS
from components.errors import UserError

_SIGN = re.compile(
    r"""(?:"[^"\n]*"|![^!\s|]+!|\[[A-Za-z]:[^]\n]*\])  # may hold what looks like a sign, and is none
    | (?P<sign>::+|:*\|[|\]:]*|\[\|)(?P<number>[1-9][0-9,-]*)?
    | \[(?P<ending>[1-9][0-9,-]*)""",
    re.VERBOSE,
)


class Note(NamedTuple):
    """One sounding note. Times are in whole notes from the start of the tune; `pitch` is MIDI's (A4 is 69)."""

    start: Fraction
    length: Fraction
    pitch: int
    accented: bool
    """The first of its bar."""


class Melody(NamedTuple):
    tune: abc_notation.Tune
    """As written."""
    notes: list[Note]
    length: Fraction
    """In whole notes, with rests."""


@dataclass
class _Bar:
    text: str = ""
    endings: frozenset[int] = frozenset()
    """Played only on these passes through its section; empty: on each."""


@dataclass
class _Section:
    """What a repeat repeats: from one repeat sign or double bar to the next."""

    opened: bool = False
    """By a written `|:`, so that a double bar inside does not end it."""
    repeated: bool = False
    bars: list[_Bar] = field(default_factory=lambda: [_Bar()])

    def played(self) -> Iterator[_Bar]:
        passes = max((number for bar in self.bars for number in bar.endings), default=1 + self.repeated)
        for number in range(1, passes + 1):
            yield from (bar for bar in self.bars if not bar.endings or number in bar.endings)


def melody(text: str, max_chord: int) -> Melody:
    """The notes of a tune in ABC. Raises UserError that says what can't be played, and in which bar.

    max_chord: most notes that may sound at once.
    """
    tune = abc_notation.parse_tune(text.strip() + "\n|")  # closed, so that a tune cut off at its maximum length plays
    if tune.faults:
        raise UserError(f"this ABC can't be played: {tune.faults[0]}")
    played = abc_notation.parse_tune(unfold(text.strip()))
    notes = _timed(played, max_chord)
    if not notes:
        raise UserError("this ABC can't be played: it has no notes")
    return Melody(tune, notes, Fraction(sum(note.ticks for note in played.notes), TICKS))


def unfold(text: str) -> str:
    """The same tune without repeat signs and endings: what they repeat is written out.

    A repeat without a start goes back to the last double bar or repeat sign, as the ABC standard 2.1 has it (4.8).
    """
    key = re.search(r"^K:.*$", text, re.MULTILINE)
    start = key.end() if key else 0
    body = re.sub(r"^(?![KLM]:)[H-Zh-z]:(?![|:]).*$|%.*$", "", text[start:], flags=re.MULTILINE)
    sections, position = [_Section()], 0
    for mark in _SIGN.finditer(body):
        sign, ending = mark["sign"], mark["number"] or mark["ending"]
        if not (sign or ending):
            continue
        sections[-1].bars[-1].text += body[position : mark.start()]
        position = mark.end()
        _close_bar(sections, sign or "", ending)
    sections[-1].bars[-1].text += body[position:]
    return text[:start] + "|".join(bar.text for section in sections for bar in section.played()) + "|"


def _close_bar(sections: list[_Section], sign: str, ending: str | None) -> None:
    section, last = sections[-1], sections[-1].bars[-1]
    closes, opens = sign.startswith(":"), sign.endswith(":")
    section.repeated |= closes
    double = sign in ("||", "|]") and not section.opened
    if opens or ((closes or double) and not ending):
        sections.append(_Section(opened=opens))
        return
    if ending and len(sections) > 1 and len(section.bars) == 1 and not last.text.strip(" !\n"):
        # `:| [2`: the sign seemed to end the section that this ending belongs to.
        text = sections.pop().bars[0].text
        sections[-1].bars.append(_Bar(text))
        last = sections[-1].bars[-1]
    elif last.text.strip(" !\n"):
        last = _Bar(endings=frozenset() if closes else last.endings)
        section.bars.append(last)
    if ending:
        numbers = [int(number) for number in re.findall("[1-9]", ending)]
        last.endings = frozenset(range(numbers[0], numbers[-1] + 1) if "-" in ending else numbers)


def _timed(tune: abc_notation.Tune, max_chord: int) -> list[Note]:
    """In order of start; a note tied to the next of its pitch is one note."""
    bars = set(accumulate((bar.ticks for bar in tune.bars), initial=0))
    notes: list[Note] = []
    held: dict[int, int] = {}  # pitch to the index of its note, tied over from the event before
    time = 0
    for event in tune.notes:
        if len(event.pitches) > max_chord:
            raise UserError(f"this ABC can't be played: a chord of {len(event.pitches)} notes, at most {max_chord}")
        start, length = Fraction(time, TICKS), event.duration
        holding = {}
        for pitch in event.pitches:
            if not 0 <= pitch <= 127:
                raise UserError(f"this ABC can't be played: its note {pitch} is outside MIDI's 0 to 127")
            if pitch in held:
                index = held[pitch]
                notes[index] = notes[index]._replace(length=notes[index].length + length)
            else:
                index = len(notes)
                notes.append(Note(start, length, pitch, time in bars))
            holding[pitch] = index
        held = holding if event.tied else {}
        time += event.ticks
    return notes

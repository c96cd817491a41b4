"""A tune as it is played: repeats unfolded, ties joined, every note at its time.

Nothing here is C: the ABC players to be had (abc2midi, which symusic runs; verovio) crash on about one mutated tune in
a hundred, and this text comes from strangers. The tests hold it equal to abc2midi on the collection.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from components.datasets.music import abc_notation
from components.datasets.music.abc_standard import read_standard
from components.datasets.music.elements import TICKS
from components.datasets.music.elements import Note as WrittenNote
from components.datasets.music.repeats import played_bars
from components.errors import UserError


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


def melody(text: str, max_chord: int) -> Melody:
    """The notes of a tune in standard ABC. Raises UserError that says what can't be played, and in which bar.

    max_chord: most notes that may sound at once.
    """
    tune = read_standard(text)
    if tune.faults:
        raise UserError(f"this ABC can't be played: {tune.faults[0]}")
    try:
        bars = played_bars(len(tune.notes), tune.marks, tune.headers.get("P", ""))
    except UserError as error:
        raise UserError(f"this ABC can't be played: {error}") from None
    notes, ticks = _timed(tune.notes, bars, max_chord)
    if not notes:
        raise UserError("this ABC can't be played: it has no notes")
    return Melody(tune, notes, Fraction(ticks, TICKS))


def _timed(written: Sequence[WrittenNote], bars: Iterable[range], max_chord: int) -> tuple[list[Note], int]:
    """The notes of the bars in order of start, and the end of the last; a note tied to the next of its pitch is one."""
    notes: list[Note] = []
    held: dict[int, int] = {}  # pitch to the index of its note, tied over from the event before
    time = 0
    for place, first in ((place, place == bar.start) for bar in bars for place in bar):
        event = written[place]
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
                notes.append(Note(start, length, pitch, first))
            holding[pitch] = index
        held = holding if event.tied else {pitch: holding[pitch] for pitch in event.held}
        time += event.ticks
    return notes, time

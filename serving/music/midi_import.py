"""From a MIDI file to the beginning of a tune, and in words what was assumed on the way."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from components.datasets.music.music_theory import bar_length
from serving.core.problems import RefusalError, wrong_fields
from serving.music.key_finding import find_key
from serving.music.metre_finding import find_metre, find_pickup
from serving.music.midi_reader import Voice, note_name, read_voice
from serving.music.quantisation import EIGHTH, Quantised, WrittenNote, quantised
from serving.music.transcription import UNIT, bar_quarters, is_compound, written

LOWEST, HIGHEST = 55, 88
"""MIDI's numbers of the lowest and the highest note of the collection."""
LOOSEST = 0.1
"""Root mean square in quarter notes: notes that lie further from the grid were not played to the file's beat."""
NOTICED = 0.005
"""The same: less is not worth a word."""
SPELLINGS = {"4/4": "C", "2/2": "C|"}
"""How the collection writes these metres."""


class Transcription(NamedTuple):
    """The music of a MIDI file."""

    music: str
    """ABC, without a header."""
    key: str
    metre: str
    notes: int
    deviation: float
    """Root mean square of what the notes' starts were moved by, in quarter notes."""
    assumed: list[str]

    @property
    def tune(self) -> str:
        """With a header, and ended."""
        header = f"X:1\nT:From a MIDI file\nM:{self.metre}\nL:{UNIT}\nK:{self.key}\n"
        return f"{header}{self.music.removesuffix('|')}|]"


def transcribe(content: bytes, key: str, metre: str, metres: Sequence[str], max_seconds: float) -> Transcription:
    """The file's one voice in ABC. key, metre: "" where they are to be found. metres: those that can be asked for.

    Raises RefusalError as `read_voice` does, and 422 for notes that are too high, too low or not on any beat, and for
    a metre of the file's that can't be asked for.
    """
    voice = read_voice(content, max_seconds)
    _refuse_range(voice)
    assumed: list[str] = []
    metre, rhythm = _in_metre(voice, metre, metres, assumed)
    if rhythm.deviation > LOOSEST:
        raise RefusalError(
            422,
            f"the notes are {rhythm.deviation:.2f} quarter notes away from sixteenths and triplets of the file's beat "
            f"on average, at most {LOOSEST:g} are taken: record to a click, or quantise the file",
        )
    if rhythm.deviation > NOTICED:
        assumed.append(
            f"The notes were moved by {rhythm.deviation:.3f} quarter notes on average to the nearest sixteenths and "
            "triplets."
        )
    if rhythm.swing != 0.5:
        assumed.append(f"The eighths are swung ({rhythm.swing:.0%} of the beat for the first): they are written even.")
    key = key or _found_key(voice, rhythm.notes, assumed)
    pickup = _pickup(voice, rhythm.notes, bar_quarters(metre), assumed)
    music = written(rhythm.notes, key, metre, pickup)
    if not music.endswith("|"):
        assumed.append("The last bar is not full: a tune goes on within it.")
    return Transcription(music, key, metre, len(rhythm.notes), rhythm.deviation, [*assumed, *voice.remarks])


def _refuse_range(voice: Voice) -> None:
    for note in voice.notes:
        if not LOWEST <= note.pitch <= HIGHEST:
            raise RefusalError(
                422,
                f"the MIDI file has the note {note_name(note.pitch)}, and tunes lie between {note_name(LOWEST)} and "
                f"{note_name(HIGHEST)}: transpose it by an octave or more",
            )


def _in_metre(voice: Voice, metre: str, metres: Sequence[str], assumed: list[str]) -> tuple[str, Quantised]:
    """The metre, given, the file's or found, and the notes in it."""
    if metre:
        return metre, quantised(voice.notes, is_compound(metre))
    if voice.time_signature:
        metre = _of_signature("{}/{}".format(*voice.time_signature), metres)
        assumed.append(f"Metre {metre}: the file's time signature.")
        return metre, quantised(voice.notes, is_compound(metre))
    simple = quantised(voice.notes, compound=False)
    metre = find_metre(simple.notes, metres)
    assumed.append(f"Metre {metre}: estimated from where long and loud notes come back; the file names none.")
    return metre, quantised(voice.notes, compound=True) if is_compound(metre) else simple


def _of_signature(signature: str, metres: Sequence[str]) -> str:
    """The metre that can be asked for in place of the file's. Raises RefusalError."""

    def kind(metre: str) -> tuple[Fraction | None, bool]:
        return bar_length(metre), is_compound(metre)

    usual = SPELLINGS.get(signature, signature)
    same = [metre for metre in (usual, *metres) if metre in metres and kind(metre) == kind(signature)]
    if not same:
        reason = f"the file is in {signature}, and the model knows {', '.join(metres)}: give one of these to have it so"
        raise wrong_fields([("metre", reason)])
    return same[0]


def _found_key(voice: Voice, notes: Sequence[WrittenNote], assumed: list[str]) -> str:
    # Programs write C Major where nobody chose a key, so that it says nothing.
    key = find_key(notes, voice.sharps or None)
    among = f" among those with the file's key signature ({_signature(voice.sharps)})" if voice.sharps else ""
    assumed.append(f"Key {key}: estimated from how long each pitch sounds{among}.")
    return key


def _signature(sharps: int) -> str:
    kind = "sharp" if sharps > 0 else "flat"
    return f"{abs(sharps)} {kind}{'s' if abs(sharps) > 1 else ''}"


def _pickup(voice: Voice, notes: Sequence[WrittenNote], bar: Fraction, assumed: list[str]) -> Fraction:
    """Quarter notes before the first whole bar."""
    pickup = (round(4 * voice.bars_start) * Fraction(1, 4) - notes[0].start) % bar
    why = "so the file's bars lie"
    if not pickup:
        pickup = find_pickup(notes, bar)
        why = "the notes after it are the strongest"
    if pickup:
        eighths = f"{float(pickup / EIGHTH):g} eighth{'s' if pickup != EIGHTH else ''}"
        assumed.append(f"The first bar is a pickup of {eighths}: {why}.")
    return pickup

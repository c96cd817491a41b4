"""From the bytes of a MIDI file to the notes of its one voice.

The bytes come from strangers. What they can cost is bounded by the size of a request's body: an event takes two bytes
at least, and mido reads each once.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from components.datasets.music.music_theory import key_signature
from components.errors import one_line
from serving.core.problems import RefusalError

if TYPE_CHECKING:
    from mido import Message, MidiFile, MidiTrack

DRUMS = 9
"""The channel of General MIDI's drums, counted from 0."""
TEMPO = 500_000
"""Microseconds of a quarter note where a file says nothing: the standard's 120 a minute."""
TEMPI = (125_000, 2_000_000)
"""Shortest and longest quarter note that a file's length is reckoned with: 480 and 30 a minute."""
LEGATO = 0.5
"""Share of the shorter of two notes that may sound together with the other: players hold a note into the next."""
ORNAMENT = 0.1
"""Quarter notes: what is followed by another note sooner is a grace note, which the lab's notation does not keep."""
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


class PlayedNote(NamedTuple):
    """A note as it was played. Times are in quarter notes from the beginning of the file."""

    start: float
    end: float
    pitch: int
    """MIDI's: A4 is 69."""
    velocity: int


@dataclass(frozen=True)
class Voice:
    """The one voice of a MIDI file."""

    notes: tuple[PlayedNote, ...]
    """In order of start; none begins before the one before it ends."""
    time_signature: tuple[int, int] | None
    """The one that holds longest, as (beats, parts of a whole note); None where the file has none."""
    bars_start: float
    """Where its first bar begins, in quarter notes."""
    sharps: int | None
    """Sharps in its key signature, flats negative; None where the file has none."""
    remarks: tuple[str, ...]
    """What was left out or made up."""


def read_voice(content: bytes, max_seconds: float) -> Voice:
    """The voice of a MIDI file of up to `max_seconds`, at the file's first tempo.

    Raises RefusalError in one line that says what to do: 400 nothing there, 415 no MIDI file, 422 broken, without
    notes, several voices, drums only, times in frames, too long.
    """
    file = _opened(content)
    remarks: list[str] = []
    tracks = [track for track in file.tracks if any(_strikes(track))]
    if not tracks:
        raise RefusalError(422, "the MIDI file has no notes: record a melody and send it again")
    if file.type == 2 and len(tracks) > 1:
        raise RefusalError(
            422, f"the MIDI file (format 2) holds {len(tracks)} pieces: save the one to go on from in a file of its own"
        )
    pitched = [track for track in tracks if any(message.channel != DRUMS for message in _strikes(track))]
    if not pitched:
        raise RefusalError(422, "the MIDI file has drums only (channel 10): put the melody on another channel")
    last = max(sum(message.time for message in track) for track in file.tracks)
    _refuse_length(last, file, max_seconds)
    if any(message.channel == DRUMS for track in tracks for message in _strikes(track)):
        remarks.append("The drums (channel 10) were left out.")
    notes, held = _notes(pitched, file.ticks_per_beat)
    if held:
        remarks.append(f"{_count(held, 'note is', 'notes are')} never released: each lasts until the next one.")
    voice = _one_voice(notes, len(pitched), remarks)
    return Voice(tuple(voice), *_time_signature(file), _sharps(file), tuple(remarks))


def note_name(pitch: int) -> str:
    """Such as F#4; middle C is C4."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


def _opened(content: bytes) -> MidiFile:
    from mido import MidiFile

    if not content:
        raise RefusalError(400, "there is no MIDI file: the body is empty; send the file itself")
    if not content.startswith(b"MThd"):
        raise RefusalError(415, "this is no MIDI file (it does not begin with MThd): send a Standard MIDI File (.mid)")
    try:
        file = MidiFile(file=io.BytesIO(content))
    except EOFError:
        raise RefusalError(422, "the MIDI file is cut off: its end is missing; export it again") from None
    except Exception as error:  # noqa: BLE001 - whatever mido says of untrusted bytes, they are broken
        raise RefusalError(422, f"the MIDI file is broken ({one_line(error)}): export it again") from None
    if file.ticks_per_beat < 0:
        raise RefusalError(
            422, "the MIDI file counts time in frames (SMPTE), not in beats: export it with ticks per quarter note"
        )
    if not file.ticks_per_beat:
        raise RefusalError(422, "the MIDI file is broken (it has 0 ticks per quarter note): export it again")
    return file


def _strikes(track: MidiTrack) -> Iterator[Message]:
    return (message for message in track if message.type == "note_on" and message.velocity)


def _refuse_length(ticks: int, file: MidiFile, max_seconds: float) -> None:
    tempo = next((message.tempo for track in file.tracks for message in track if message.type == "set_tempo"), TEMPO)
    tempo = min(max(tempo, TEMPI[0]), TEMPI[1])
    # In whole numbers: a time of a hostile file may be too large for a float.
    if ticks * tempo > int(max_seconds * 1e6) * file.ticks_per_beat:
        raise RefusalError(
            422,
            f"the MIDI file is longer than the {max_seconds:g} s that are read: cut it to the part to go on from",
        )


def _notes(tracks: Iterable[MidiTrack], ticks_per_beat: int) -> tuple[list[PlayedNote], int]:
    """The notes in order of start, and how many of them are never released."""
    found: dict[
        tuple[int, int], tuple[int | None, int]
    ] = {}  # start and pitch: end and velocity; a doubled note is one
    for track in tracks:
        tick = 0
        sounding: dict[tuple[int, int], list[tuple[int, int]]] = {}  # channel and pitch: start and velocity of each
        last = (-1, -1)
        for message in track:
            tick += message.time
            if message.type not in ("note_on", "note_off") or message.channel == DRUMS:
                continue
            key = (message.channel, message.note)
            waiting = sounding.setdefault(key, [])
            if message.type == "note_on" and message.velocity:
                if key != last:  # others were struck since: its release is missing, and does not come late
                    found |= {(start, key[1]): (None, velocity) for start, velocity in waiting}
                    waiting.clear()
                waiting.append((tick, message.velocity))
                last = key
            elif waiting:
                start, velocity = waiting.pop(0)
                found[start, key[1]] = (tick, velocity)
        found |= {(start, key[1]): (None, velocity) for key, each in sounding.items() for start, velocity in each}
    starts = sorted({start for start, _ in found})
    notes = []
    for (start, pitch), (end, velocity) in sorted(found.items()):
        if end is None:
            later = bisect_right(starts, start)
            end = starts[later] if later < len(starts) else start + ticks_per_beat
        notes.append(PlayedNote(start / ticks_per_beat, max(end, start + 1) / ticks_per_beat, pitch, velocity))
    return notes, sum(end is None for end, _ in found.values())


def _one_voice(notes: Sequence[PlayedNote], tracks: int, remarks: list[str]) -> list[PlayedNote]:
    """The notes without ornaments, each ended where the next begins. Raises RefusalError where two sound at once."""
    kept = [note for note, after in pairwise(notes) if after.start - note.start >= ORNAMENT or _together(note, after)]
    kept.append(notes[-1])
    if len(kept) < len(notes):
        remarks.append(f"{_count(len(notes) - len(kept), 'grace note was', 'grace notes were')} left out.")
    for note, after in pairwise(kept):
        if _together(note, after):
            where = f"{note_name(note.pitch)} and {note_name(after.pitch)} at quarter note {after.start + 1:.4g}"
            parts = f"{tracks} tracks have notes: " if tracks > 1 else ""
            raise RefusalError(
                422, f"the MIDI file has several voices ({parts}{where} sound at once): leave one voice in it"
            )
    ended = [note._replace(end=min(note.end, after.start)) for note, after in pairwise(kept)]
    return [*ended, kept[-1]]


def _together(note: PlayedNote, after: PlayedNote) -> bool:
    """Whether the second begins while the first still sounds for a good part of either."""
    both = min(note.end, after.end) - after.start
    return note.pitch != after.pitch and both > LEGATO * min(note.end - note.start, after.end - after.start)


def _time_signature(file: MidiFile) -> tuple[tuple[int, int] | None, float]:
    """The signature that holds longest and where it begins: programs write a pickup as a bar of another one."""
    changes: list[tuple[int, tuple[int, int]]] = []
    end = 0
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "time_signature":
                changes.append((tick, (message.numerator, message.denominator)))
        end = max(end, tick)
    lasting: Counter[tuple[int, int]] = Counter()
    for (start, signature), (until, _) in pairwise([*sorted(changes), (end + 1, (0, 0))]):
        lasting[signature] += until - start
    if not lasting:
        return None, 0.0
    longest = max(lasting, key=lambda signature: lasting[signature])
    return longest, min(tick for tick, signature in changes if signature == longest) / file.ticks_per_beat


def _sharps(file: MidiFile) -> int | None:
    names = (message.key for track in file.tracks for message in track if message.type == "key_signature")
    signature = key_signature(next(names, ""))
    return None if signature is None else sum(signature.values())


def _count(number: int, one: str, many: str) -> str:
    return f"1 {one}" if number == 1 else f"{number} {many}"

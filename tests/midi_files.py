"""MIDI files for tests: made with mido, event by event."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable, Sequence

from mido import Message, MetaMessage, MidiFile, MidiTrack

TICKS = 480
"""In a quarter note."""


def midi(*tracks: Iterable[Message | MetaMessage], kind: int = 1, ticks: int = TICKS) -> bytes:
    """The file of these tracks. kind: its format."""
    file = MidiFile(type=kind, ticks_per_beat=ticks, tracks=[MidiTrack(track) for track in tracks])
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def melody(pitches: Sequence[int], length: int = TICKS // 2, channel: int = 0, rest: int = 0) -> list[Message]:
    """Notes of equal length, one after the other, after `rest` ticks."""
    track = []
    for index, pitch in enumerate(pitches):
        track.append(Message("note_on", note=pitch, velocity=90, channel=channel, time=0 if index else rest))
        track.append(Message("note_off", note=pitch, channel=channel, time=length))
    return track


def played(content: bytes, seed: int, spread_ms: float, sounding: float = 1.0, tempo: int | None = None) -> bytes:
    """A file of one track as a person plays it: each note begins and ends `spread_ms` early or late (standard
    deviation), equally loud, and sounds for a share of its length. tempo: microseconds of a quarter note, in its place.
    """
    file = MidiFile(file=io.BytesIO(content))
    (track,) = file.tracks
    draw = random.Random(seed)  # noqa: S311 - moves notes
    events, now, starts = [], 0, {}
    given = tempo or next(message.tempo for message in track if message.type == "set_tempo")
    spread = spread_ms * 1000 / given * file.ticks_per_beat
    for message in track:
        now += message.time
        if message.type == "note_on":
            starts[message.note] = now
        elif message.type == "note_off":
            start = starts[message.note]
            first = max(0.0, start + draw.gauss(0, spread))
            last = max(start + (now - start) * sounding + draw.gauss(0, spread), first + 20)
            events += [(round(first), 1, message.note), (round(last), 0, message.note)]
    made = [message.copy(time=0) for message in track if message.type in ("time_signature", "key_signature")]
    made.append(MetaMessage("set_tempo", tempo=given))
    before = 0
    for tick, on, note in sorted(events):
        made.append(Message("note_on", note=note, velocity=90 * on, time=tick - before))
        before = tick
    return midi(made, kind=0, ticks=file.ticks_per_beat)

"""A tune as MIDI and as sound, for listeners without ABC tools. No torch, no subprocess, nothing written to disk."""

import io
import re
import wave
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

import numpy as np

from components.errors import UserError
from serving.music.notes import Melody, Note, melody
from serving.music.soundfont import Audio, Instrument, load

PROGRAM = 46  # General MIDI's harp, counted from 0: a clear attack at any speed, and it fades as a plucked string does
SAMPLE_RATE = 22_050  # Hz; the harp has 1 % of its energy above 2 kHz
TAIL_SECONDS = 1.0  # after the last note, for it to ring
TICKS = 480  # MIDI ticks in a quarter note: divisible by 3 and 5 for tuplets

# Quarter notes a minute, at an unhurried session's pace. A type is the collection's ("Z: id:dc-slipjig-3") or R:'s.
TEMPO = {
    "hornpipe": 160,
    "jig": 165,  # a dotted quarter at 110
    "miscellaneous": 140,
    "ocarolan": 110,
    "polka": 125,
    "reel": 190,
    "setdance": 150,
    "slide": 180,  # a dotted quarter at 120
    "slipjig": 165,
    "waltz": 130,
}
TEMPO_BY_METRE = {"6/8": 165, "9/8": 165, "12/8": 180, "2/4": 125, "3/4": 130}
USUAL_TEMPO = 170
SIGNS = {"C": "4/4", "C|": "2/2"}
"""Metres that are written as a sign."""


def to_midi(abc: str, *, max_seconds: float, max_chord: int) -> bytes:
    """A type 0 MIDI file: title, tempo, metre and notes.

    Raises UserError if the tune can't be played, sounds longer than `max_seconds`, or has a chord of more notes than
    `max_chord`.
    """
    from mido import Message, MetaMessage, MidiFile, MidiTrack, bpm2tempo

    tune = _playable(abc, max_seconds, max_chord)
    title = tune.tune.headers.get("T", "Untitled").encode("latin-1", "replace").decode("latin-1")
    track = MidiTrack(
        [
            MetaMessage("track_name", name=title),
            MetaMessage("set_tempo", tempo=bpm2tempo(float(tempo(tune.tune.headers)))),
            Message("program_change", program=PROGRAM),
        ]
    )
    written = tune.tune.headers.get("M", "")
    if metre := re.fullmatch(r"(\d+)/(1|2|4|8|16|32)", SIGNS.get(written, written)):
        track.append(MetaMessage("time_signature", numerator=int(metre[1]), denominator=int(metre[2])))
    last = 0
    for tick, kind, pitch, velocity in sorted(_events(tune)):
        track.append(Message(kind, note=pitch, velocity=velocity, time=tick - last))
        last = tick
    file = MidiFile(type=0, ticks_per_beat=TICKS, tracks=[track])
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def to_wav(abc: str, *, max_seconds: float, max_chord: int, sample_rate: int = SAMPLE_RATE) -> bytes:
    """16-bit mono WAV of the tune's length plus TAIL_SECONDS. Raises UserError as to_midi."""
    samples = render(_playable(abc, max_seconds, max_chord), sample_rate)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def render(tune: Melody, sample_rate: int) -> Audio:
    """The tune's sound, (seconds * sample_rate,), its peak at 0.9."""
    mix = np.zeros(int((_seconds(tune) + TAIL_SECONDS) * sample_rate), dtype=np.float32)
    whole = _whole_note(tune.tune.headers)
    # Each sound is made once (a tune has some forty different ones) and let go before the next is.
    for (pitch, length), notes in groupby(sorted(tune.notes, key=_sound), key=_sound):
        sound = _instrument().note(pitch, float(length * whole), sample_rate)
        for note in notes:
            start = int(note.start * whole * sample_rate)
            end = min(start + len(sound), len(mix))
            mix[start:end] += sound[: end - start] * np.float32(_velocity(note) / 127)
    return mix * np.float32(0.9 / max(float(np.abs(mix).max()), 1e-6))


def tempo(headers: dict[str, str]) -> Fraction:
    """Quarter notes a minute: Q: if it can be read, else the table's for the type of tune or its metre."""
    written = re.search(r"(?:([0-9/ ]+?)\s*=\s*)?([0-9]{1,3})\s*$", re.sub('"[^"]*"', "", headers.get("Q", "")))
    if written:
        lengths = re.findall(r"([0-9]{1,2})/([0-9]{1,2})", written[1] or "1/4")
        beat = sum((Fraction(4 * int(top), max(int(bottom), 1)) for top, bottom in lengths), Fraction(0)) or Fraction(1)
        return min(max(beat * int(written[2]), Fraction(30)), Fraction(480))
    kind = re.search(r"id:\w+-(\w+)-", headers.get("Z", ""))
    name = (kind[1] if kind else headers.get("R", "")).lower().replace(" ", "")
    return Fraction(TEMPO.get(name, TEMPO_BY_METRE.get(headers.get("M", ""), USUAL_TEMPO)))


def _playable(abc: str, max_seconds: float, max_chord: int) -> Melody:
    tune = melody(abc, max_chord)
    if (seconds := _seconds(tune)) > max_seconds:
        raise UserError(
            f"the tune would last {seconds:,.0f} s, at most {max_seconds:g} s are played: shorten its notes"
        )
    return tune


def _whole_note(headers: dict[str, str]) -> Fraction:
    """Its length in seconds."""
    return 240 / tempo(headers)


def _seconds(tune: Melody) -> float:
    return float(tune.length * _whole_note(tune.tune.headers))


def _sound(note: Note) -> tuple[int, Fraction]:
    return note.pitch, note.length


def _velocity(note: Note) -> int:
    return 105 if note.accented else 85


def _events(tune: Melody) -> list[tuple[int, str, int, int]]:
    """(tick, kind, pitch, velocity); at one tick "note_off" sorts before "note_on", as a repeated note needs."""
    events = []
    for note in tune.notes:
        start, end = (round(time * 4 * TICKS) for time in (note.start, note.start + note.length))
        events += [(start, "note_on", note.pitch, _velocity(note)), (max(end, start + 1), "note_off", note.pitch, 0)]
    return events


@cache
def _instrument() -> Instrument:
    """From the soundfont that pretty_midi's wheel carries (TimGM6mb, GPL-2: used where installed, never copied)."""
    package = find_spec("pretty_midi")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("no sound: pretty_midi, which carries the soundfont, is not installed")
    return load(Path(package.origin).with_name("TimGM6mb.sf2"), PROGRAM)

"""A melody in a MIDI file is written down as it was played: measured on the collection, there and back."""

from __future__ import annotations

import io
from collections import Counter
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mido import Message, MetaMessage, MidiFile

from components.datasets.music.abc_notation import check, parse_tune
from components.datasets.music.music_theory import key_name
from components.datasets.music.raw import Block
from components.errors import UserError
from components.labs.music.runtime.conditioning import Options
from serving.core.problems import RefusalError
from serving.music import audio, key_finding, midi_import
from serving.music.midi_import import Transcription, transcribe
from serving.music.notes import Melody, Note
from serving.music.notes import melody as sounding
from serving.music.quantisation import WrittenNote
from tests.midi_files import TICKS, melody, midi, played
from tests.music_data import real_tunes
from tests.serving.servers import params_of

PARAMS = params_of("music")
LIMITS = PARAMS.serve
METRES = Options.of_tunes(
    (text for text in real_tunes() if Block(text, 1).split == "train"), PARAMS.export.min_tunes
).metres
SCALE = [62, 64, 66, 67, 69, 71, 73, 74]
"""D Major."""
SONG = [*SCALE, *reversed(SCALE)]
KRUMHANSL_KESSLER = {
    "Major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "Minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
    "Dorian": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 2.69, 3.98, 3.34, 3.17),  # the sixths exchanged
    "Mixolydian": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.88, 2.29),  # the sevenths exchanged
}


@cache
def one_voiced() -> tuple[tuple[str, Melody], ...]:
    """The real tunes that can be played and have a header and no chords, as text and as they sound."""
    found = []
    for text in real_tunes():
        try:
            tune = sounding(text, LIMITS.max_chord)
        except UserError:
            continue
        if tune.tune.metre and "K" in tune.tune.headers and len({note.start for note in tune.notes}) == len(tune.notes):
            found.append((text, tune))
    return tuple(found)


def to_midi(text: str) -> bytes:
    return audio.to_midi(text, max_seconds=LIMITS.max_seconds, max_chord=LIMITS.max_chord)


def read(content: bytes, key: str = "", metre: str = "") -> Transcription:
    return transcribe(content, key, metre, METRES, LIMITS.max_seconds)


def times(notes: list[Note]) -> list[tuple[Fraction, Fraction, int]]:
    """Start from the first note, length and pitch of each."""
    return [(note.start - notes[0].start, note.length, note.pitch) for note in notes]


def written(found: Transcription) -> list[tuple[Fraction, Fraction, int]]:
    return times(sounding(found.tune, LIMITS.max_chord).notes)


def test_nearly_all_tunes_have_one_voice() -> None:
    assert len(one_voiced()) == 800


def test_real_tunes_come_back_from_midi_with_every_pitch_and_length() -> None:
    different = []
    for text, tune in one_voiced()[::9]:
        found = read(to_midi(text))
        if written(found) != times(tune.notes) or found.deviation > 1e-6:
            different.append(tune.tune.headers["T"])
    assert different == []


def test_the_metre_of_a_tune_comes_back() -> None:
    for text, tune in one_voiced()[::20]:
        metre = tune.tune.headers["M"]
        assert read(to_midi(text)).metre == {"4/4": "C"}.get(metre, metre)


@pytest.mark.parametrize(
    ("spread_ms", "sounding", "tempo", "tunes", "notes"),
    [
        (5.0, 1.0, None, 1.0, 1.0),
        (10.0, 1.0, None, 0.9, 0.999),
        (10.0, 0.8, None, 0.9, 0.999),
        (10.0, 1.0, 600_000, 0.99, 0.9999),  # 100 quarter notes a minute
    ],
)
def test_tunes_that_are_played_loosely_are_written_as_they_were_meant(
    spread_ms: float, sounding: float, tempo: int | None, tunes: float, notes: float
) -> None:
    """tunes, notes: least shares that come back with all times, and with the right start."""
    whole = total = right = 0
    chosen = one_voiced()[::8]
    for seed, (text, tune) in enumerate(chosen):
        found = written(read(played(to_midi(text), seed, spread_ms, sounding, tempo)))
        meant = times(tune.notes)
        assert [pitch for _, _, pitch in found] == [pitch for _, _, pitch in meant]
        whole += found == meant
        total += len(meant)
        right += sum(one[0] == other[0] for one, other in zip(found, meant, strict=True))
    assert whole >= tunes * len(chosen)
    assert right >= notes * total


def test_most_keys_of_the_collection_are_found_and_more_than_with_krumhansl_and_kessler() -> None:
    """Held-out tunes are asked; the profiles are of the training tunes."""
    found: Counter[str] = Counter()
    tunes = [(text, tune) for text, tune in one_voiced() if Block(text, 1).split != "train"]
    for _, tune in tunes:
        key = key_name(tune.tune.headers["K"])
        notes = _notes(tune)
        mine = key_finding.find_key(notes)
        found["mine"] += mine == key
        found["theirs"] += _by_krumhansl_and_kessler(notes) == key
        found["tonic"] += mine.split()[0] == (key or "").split()[0]
    assert found["mine"] >= 0.8 * len(tunes)
    assert found["tonic"] >= 0.88 * len(tunes)
    assert found["mine"] > found["theirs"] + 0.05 * len(tunes)


def test_the_profiles_of_the_keys_are_those_of_the_training_tunes() -> None:
    shares: dict[str, list[np.ndarray]] = {}
    for text, tune in one_voiced():
        key = key_name(tune.tune.headers["K"]) or ""
        if Block(text, 1).split == "train" and key.split()[1] in key_finding.PROFILES:
            durations = np.zeros(12)
            for note in tune.notes:
                durations[(note.pitch - key_finding.tonic(key)) % 12] += float(note.length)
            shares.setdefault(key.split()[1], []).append(durations / durations.sum())
    for mode, each in shares.items():
        mean = np.mean(each, axis=0)
        assert np.abs(mean - key_finding.PROFILES[mode]).max() < 0.001
        assert len(each) / sum(map(len, shares.values())) == pytest.approx(key_finding.SHARES[mode], abs=0.005)


def _notes(tune: Melody) -> list[WrittenNote]:
    return [WrittenNote(4 * note.start, 4 * (note.start + note.length), note.pitch, 90) for note in tune.notes]


def _by_krumhansl_and_kessler(notes: list[WrittenNote]) -> str:
    durations = np.zeros(12)
    for note in notes:
        durations[note.pitch % 12] += float(note.end - note.start)

    def correlation(key: str) -> float:
        profile = np.roll(KRUMHANSL_KESSLER[key.split()[1]], key_finding.tonic(key))
        return float(np.corrcoef(durations, profile)[0, 1])

    return max(key_finding._keys(None), key=correlation)


def test_every_note_of_the_collection_is_within_the_range_that_is_taken() -> None:
    pitches = {note.pitch for _, tune in one_voiced() for note in tune.notes}
    assert (min(pitches), max(pitches)) == (midi_import.LOWEST, midi_import.HIGHEST)


def test_a_melody_is_written_in_the_collections_way() -> None:
    found = read(midi([MetaMessage("time_signature", numerator=4, denominator=4), *melody(SONG)]))
    assert (found.key, found.metre, found.notes) == ("D Major", "C", 16)
    assert found.music == "DEFG ABcd|dcBA GFED|"
    assert check(found.tune) == []


@pytest.mark.parametrize(
    ("lengths", "music"),
    [
        ([1, 1, 1, 1, 4], "DEFG A4|"),
        ([1.5, 0.5, 0.5, 1.5, 4], "D>EF<G A4|"),
        ([0.5, 0.5, 1, 2, 4], "D/E/FG2 A4|"),
        ([Fraction(2, 3), Fraction(2, 3), Fraction(2, 3), 2, 4], "(3DEFG2 A4|"),
        ([Fraction(4, 3), Fraction(2, 3), 2, 2, 2], "(3:2:2D2EF2 G2A2|"),
        ([7, 2, 7], "D7E-|EF7|"),
        ([1.5, 0.5, 1, 1], "D>EFG"),
    ],
)
def test_lengths_are_written_as_the_collection_writes_them(lengths: list[float | Fraction], music: str) -> None:
    track: list[Message | MetaMessage] = [MetaMessage("time_signature", numerator=4, denominator=4)]
    for pitch, length in zip(SCALE, lengths, strict=False):
        ticks = int(length * TICKS / 2)
        track += [Message("note_on", note=pitch, velocity=90), Message("note_off", note=pitch, time=ticks)]
    assert read(midi(track), key="D Major").music == music


@pytest.mark.parametrize(
    ("key", "music"),
    [
        ("D Major", "D_E=E=F ^FG^GA|"),
        ("D Minor", "D_E=EF ^FG^GA|"),
        ("A Major", "D^DE=F ^F=G^GA|"),
    ],
)
def test_accidentals_follow_the_key(key: str, music: str) -> None:
    pitches = [62, 63, 64, 65, 66, 67, 68, 69]
    found = read(midi(melody(pitches)), key=key, metre="C")
    assert [note.pitch for note in sounding(found.tune, 1).notes] == pitches
    assert found.music == music


@given(st.lists(st.tuples(st.integers(55, 88), st.sampled_from([1, 2, 3, 4, 6, 8])), min_size=1, max_size=60))
def test_any_melody_of_sixteenths_is_written_with_its_pitches_and_lengths(notes: list[tuple[int, int]]) -> None:
    track = []
    for pitch, sixteenths in notes:
        track += [Message("note_on", note=pitch, velocity=90), Message("note_off", note=pitch, time=120 * sixteenths)]
    for key, metre in (("D Major", "C"), ("Bb Major", "6/8"), ("F# Minor", "3/4"), ("Eb Dorian", "9/8")):
        found = written(read(midi(track), key, metre))
        assert [(length * 16, pitch) for _, length, pitch in found] == [
            (Fraction(length), pitch) for pitch, length in notes
        ]


def test_swung_eighths_are_written_even_and_it_is_said() -> None:
    track = []
    for index, pitch in enumerate(2 * SONG):
        ticks = 310 if index % 2 == 0 else 170
        track += [Message("note_on", note=pitch, velocity=90), Message("note_off", note=pitch, time=ticks)]
    found = read(midi(track), metre="C")
    assert found.music.startswith("DEFG ABcd|dcBA GFED|")
    assert "The eighths are swung (65% of the beat for the first): they are written even." in found.assumed


def test_what_was_assumed_is_said() -> None:
    found = read(midi(melody(SONG)))
    assert any("estimated from where long and loud notes come back" in each for each in found.assumed)
    assert any("Key D Major: estimated" in each for each in found.assumed)
    assert read(midi(melody(SONG)), "D Major", "C").assumed == []


def test_a_key_signature_narrows_the_keys_and_that_of_c_major_says_nothing() -> None:
    signature = [MetaMessage("key_signature", key="F"), MetaMessage("time_signature", numerator=3, denominator=4)]
    found = read(midi([*signature, *melody([67, 69, 70, 72, 74, 67])]))
    assert found.key == "G Dorian"
    assert any("1 flat" in each for each in found.assumed)
    assert read(midi([MetaMessage("key_signature", key="C"), *melody(SONG)])).key == "D Major"


def test_a_melody_that_begins_within_a_bar_has_a_pickup() -> None:
    signature = [MetaMessage("time_signature", numerator=6, denominator=8)]
    found = read(midi([*signature, *melody([62, *SONG[:12]], rest=5 * TICKS // 2)]))
    assert found.music == "D|DEF GAB|cdd cBA|"
    assert "The first bar is a pickup of 1 eighth: so the file's bars lie." in found.assumed


def test_a_pickup_that_a_program_writes_as_a_bar_of_its_own_is_one() -> None:
    track = [
        MetaMessage("time_signature", numerator=1, denominator=8),
        *melody([62]),
        MetaMessage("time_signature", numerator=6, denominator=8),
        *melody(SONG[:12]),
    ]
    assert read(midi(track)).music == "D|DEF GAB|cdd cBA|"


def test_loud_notes_show_where_bars_begin() -> None:
    text = "X:1\nT:Mine\nM:6/8\nL:1/8\nK:D Major\nA|DFA dfa|gfe dcB|ABc dcB|AFD E2A|DFA dfa|gfe dcB|ABc dAF|D3 D2|]"
    found = read(to_midi(text))
    assert found.metre == "6/8"
    assert found.music.startswith("A|DFA dfa|gfe dcB|")


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_formats_and_tracks_without_notes_make_no_difference(kind: int) -> None:
    head = [MetaMessage("track_name", name="Ó"), MetaMessage("set_tempo", tempo=400_000)]
    tracks = [[*head, *melody(SONG)]] if kind == 0 else [head, melody(SONG), [Message("program_change", program=3)]]
    assert read(midi(*tracks, kind=kind), "D Major", "C").music == "DEFG ABcd|dcBA GFED|"


def test_a_melody_that_two_tracks_share_is_one_voice() -> None:
    doubled = midi(melody(SONG), melody(SONG, channel=3))
    in_turns = midi(melody(SCALE), melody(SCALE[::-1], channel=3, rest=4 * TICKS))
    for content in (doubled, in_turns):
        assert read(content, "D Major", "C").music == "DEFG ABcd|dcBA GFED|"


def test_drums_beside_a_melody_are_left_out() -> None:
    found = read(midi(melody(SONG), melody([36] * 16, channel=9)), "D Major", "C")
    assert found.music == "DEFG ABcd|dcBA GFED|"
    assert found.assumed == ["The drums (channel 10) were left out."]


def test_running_status_is_read() -> None:
    """A status byte counts for the events after it: written by hand, byte by byte."""
    events = b"\x00\x90\x3e\x5a\x83\x60\x3e\x00" + b"\x00\x40\x5a\x83\x60\x40\x00" + b"\x00\xff\x2f\x00"
    content = b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk" + len(events).to_bytes(4, "big") + events
    assert read(content, "D Major", "C").music == "D2E2"


def test_notes_that_are_never_released_last_until_the_next() -> None:
    struck = [Message("note_on", note=pitch, velocity=90, time=240 if index else 0) for index, pitch in enumerate(SONG)]
    found = read(midi(struck), "D Major", "C")
    assert found.music == "DEFG ABcd|dcBA GFED-|D"
    assert "16 notes are never released: each lasts until the next one." in found.assumed


def test_legato_is_one_voice_and_grace_notes_are_left_out() -> None:
    track = [Message("note_on", note=62, velocity=90)]
    for before, pitch in pairwise(SONG):
        track += [
            Message("note_on", note=pitch, velocity=90, time=180 if len(track) > 1 else 240),
            Message("note_off", note=before, time=60),
        ]
    track.append(Message("note_off", note=SONG[-1], time=180))
    assert read(midi(track), "D Major", "C").music == "DEFG ABcd|dcBA GFED|"
    grace = [Message("note_on", note=64, velocity=90), Message("note_off", note=64, time=30), *melody([62], 210)]
    found = read(midi([*grace, *melody(SONG[1:])]), "D Major", "C")
    assert found.notes == 16
    assert "1 grace note was left out." in found.assumed


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def _header(ticks: int, tracks: int = 1) -> bytes:
    return b"MThd\0\0\0\6\0\1" + tracks.to_bytes(2, "big") + (ticks % 65536).to_bytes(2, "big")


def _body(content: bytes) -> bytes:
    return content[14:]


REFUSED: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "the body is empty"),
    "a picture": (PNG, 415, "no MIDI file"),
    "text": (b"X:1\nK:D\nABcd|", 415, "no MIDI file"),
    "a header only": (b"MThd", 422, "cut off"),
    "cut off": (midi(melody(SONG))[:-20], 422, "cut off"),
    "no tracks": (_header(480, tracks=0), 422, "no notes"),
    "no notes": (midi([MetaMessage("set_tempo", tempo=500_000)]), 422, "no notes"),
    "garbage in a track": (_header(480) + b"MTrk\0\0\0\4\0\x80\xff\xff", 422, "broken"),
    "no ticks": (_header(0) + _body(midi(melody(SONG))), 422, "0 ticks per quarter note"),
    "times in frames": (_header(-25 * 256 + 40) + _body(midi(melody(SONG))), 422, "SMPTE"),
    "a chord": (midi([*melody([62, 64], 0), *melody(SONG)], melody([66], 960)), 422, "several voices"),
    "two voices": (midi(melody(SONG), melody([pitch - 5 for pitch in SONG], channel=1)), 422, "2 tracks have notes"),
    "a drone": (midi(melody(SONG), melody([57], 16 * 240)), 422, "several voices"),
    "drums only": (midi(melody([36, 38], channel=9)), 422, "drums only"),
    "two pieces": (midi(melody(SONG), melody(SONG), kind=2), 422, "2 pieces"),
    "too low": (midi(melody([54, *SONG])), 422, "the note F#3, and tunes lie between G3 and E6"),
    "too high": (midi(melody([*SONG, 89])), 422, "the note F6"),
    "too long": (midi(melody(SONG, 480 * 40)), 422, "longer than the 300 s"),
    "endless": (midi([*melody(SONG), Message("note_on", note=62, velocity=1, time=2**28 - 1)]), 422, "longer than"),
    "in seven": (
        midi([MetaMessage("time_signature", numerator=7, denominator=8), *melody(SONG)]),
        422,
        "the file is in 7/8, and the model knows",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_melody_is_refused_in_one_line(name: str) -> None:
    content, status, words = REFUSED[name]
    with pytest.raises(RefusalError) as refusal:
        read(content)
    assert refusal.value.status == status
    assert words in refusal.value.detail
    assert "\n" not in refusal.value.detail


def test_notes_that_follow_no_beat_are_refused() -> None:
    track = []
    for pitch, ticks in zip(4 * SONG, 16 * [197, 331, 411, 157], strict=True):
        track += [Message("note_on", note=pitch, velocity=90), Message("note_off", note=pitch, time=ticks)]
    with pytest.raises(RefusalError) as refusal:
        read(midi(track), metre="C")
    assert "record to a click" in refusal.value.detail


def test_a_file_in_seven_is_read_in_a_metre_that_is_asked_for() -> None:
    content, _, _ = REFUSED["in seven"]
    assert read(content, metre="C").metre == "C"


@settings(max_examples=300)
@given(st.data())
def test_any_bytes_are_read_or_refused(data: st.DataObject) -> None:
    """Nothing else may happen in a server that a stranger sends files to."""
    whole = bytearray(midi([MetaMessage("key_signature", key="D"), *melody(SONG)]))
    for place in data.draw(st.lists(st.integers(4, len(whole) - 1), max_size=8)):
        whole[place] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(whole))
    except RefusalError as refusal:
        assert refusal.status in (400, 415, 422)
        assert "\n" not in refusal.detail
        return
    assert parse_tune(found.tune).faults == ()


@settings(max_examples=200)
@given(st.binary(max_size=200))
@example(b"\xff" * 60_000)
@example(b"\0\xff\x58\x04" * 15_000)
def test_any_track_is_read_or_refused(events: bytes) -> None:
    content = _header(480) + b"MTrk" + len(events).to_bytes(4, "big") + events
    try:
        read(content)
    except RefusalError as refusal:
        assert "\n" not in refusal.detail


def test_the_files_of_these_tests_are_what_mido_reads() -> None:
    assert MidiFile(file=io.BytesIO(midi(melody(SONG)))).length == pytest.approx(4.0)

"""Transposition: exact on paper, uniform in sound."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.labs.music.training.transpose import (
    Interval,
    TranspositionError,
    between,
    is_key,
    pitches,
    signature,
    transpose,
)
from tests.music_data import real_tunes

KEYS = ["G Major", "D Major", "A Dorian", "D Mixolydian", "E Minor", "F# Minor", "C", "Bb", "Bm", "Eb Major"]
INTERVALS = [Interval(0, 0), Interval(1, 2), Interval(2, 3), Interval(3, 5), Interval(4, 7), Interval(6, 11)]
NOTES = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "^", "_", "="]), st.sampled_from("CDEFGABcdefgab"), st.sampled_from(["", "2", "/", "3/2"])
    ),
)
BARS = st.lists(st.lists(NOTES | st.just("z"), min_size=1, max_size=8).map(" ".join), min_size=1, max_size=4)
MUSIC = st.builds("X:1\nT:A tune\nM:4/4\nL:1/8\nK:{}\n{}|]".format, st.sampled_from(KEYS), BARS.map("|".join))


def back(by: Interval) -> Interval:
    return Interval(-by.letters, -by.semitones)


@given(MUSIC, st.sampled_from(INTERVALS), st.booleans())
def test_a_tune_moved_there_and_back_is_the_same_text_and_sounds_moved_in_between(
    tune: str, by: Interval, down: bool
) -> None:
    by = back(by) if down else by
    try:
        moved = transpose(tune, by)
    except TranspositionError:
        return  # a key or a note that nobody would write
    assert transpose(moved, back(by)) == tune
    assert pitches(moved) == [pitch + by.semitones for pitch in pitches(tune)]


def test_real_tunes_sound_moved_in_every_key_of_their_mode() -> None:
    keys = ["C", "G", "D", "A", "E", "F", "Bb"]
    for tune in real_tunes()[::8]:
        own = re.search(r"^K: *([A-G][#b]?) *(.*)$", tune, re.MULTILINE)
        assert own
        for key in keys:
            for by in between(f"{own[1]} {own[2]}", f"{key} {own[2]}"):
                moved = transpose(tune, by)
                assert f"{key} {own[2]}" in moved
                assert transpose(moved, back(by)) == tune
                assert pitches(moved) == [pitch + by.semitones for pitch in pitches(tune)]


@pytest.mark.parametrize(
    ("key", "sharps"),
    [("C", 0), ("G Major", 1), ("A Dorian", 1), ("D Mixolydian", 1), ("E Minor", 1), ("Bm", 2), ("F", -1), ("Gb", -6)],
)
def test_a_key_has_the_signature_of_the_textbook(key: str, sharps: int) -> None:
    assert sum(signature(key)) == sharps


def test_pitches_follow_the_key_and_the_bar() -> None:
    assert pitches("K:D\nCFc|^GG g=c c|Gc") == [1, 6, 13, 8, 8, 19, 12, 12, 7, 13]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("K:D\n^cBA", "K:G\n^fed"),
        ("K:C\n_B,^F", "K:F\n_E=B"),
        ('K:C\n"Am/G"A "Refrain"C', 'K:F\n"Dm/C"d "Refrain"F'),
        ("K:C\n[K:G]c [CEG] (3abc|1 z|", "K:F\n[K:C]f [FAc] (3d'e'f|1 z|"),
        ("T:A Bad Cab\nK:C\nC:|", "T:A Bad Cab\nK:F\nF:|"),
        ("K:C\nC% a remark", "K:F\nF% a remark"),
    ],
)
def test_notes_chords_and_keys_move_and_words_stay(before: str, after: str) -> None:
    assert transpose(before, Interval(3, 5)) == after


def test_what_cannot_be_written_is_refused() -> None:
    for tune in ("K:none\nABC", "K:C# Major\nC"):
        with pytest.raises(TranspositionError):
            transpose(tune, Interval(1, 2))
    with pytest.raises(TranspositionError):
        transpose("K:C\n^^B", Interval(0, 1))


@given(st.text())
def test_any_text_is_a_key_or_is_not(text: str) -> None:
    if is_key(text):
        assert len(signature(text)) == 7

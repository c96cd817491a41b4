"""Copies are found, whatever hides them."""

from hypothesis import given
from hypothesis import strategies as st

from components.labs.music.evaluation.music21_validator import Note, read
from components.labs.music.evaluation.novelty import Corpus, body, melody
from tests.components.labs.music.evaluation.test_music21_validator import HORNPIPE, JIG, POLKA

WORDS = st.text(alphabet="ab|", max_size=12)


@given(texts=st.lists(WORDS, min_size=1, max_size=4), text=WORDS)
def test_the_longest_run_is_the_longest(texts: list[str], text: str) -> None:
    parts = {text[i:j] for i in range(len(text)) for j in range(i, len(text) + 1)}
    longest = max((len(part) for part in parts if any(part in each for each in texts)), default=0)
    run = Corpus(texts).longest_run(text)
    assert run.length == longest
    assert text[run.start : run.start + run.length] in texts[run.source]


def test_a_copied_tune_is_traced_to_its_source() -> None:
    corpus = Corpus([body(tune) for tune in (HORNPIPE, JIG, POLKA)])
    copied = "abc|" + body(JIG)[10:90] + "|cba"
    run = corpus.longest_run(copied)
    assert run.source == 1
    assert run.length >= 80
    assert body(JIG)[10:90] in copied[run.start : run.start + run.length]


def test_a_run_does_not_reach_from_one_source_into_the_next() -> None:
    assert Corpus(["aaa", "bbb"]).longest_run("aaabbb").length == 3


def test_a_melody_copied_into_another_key_is_the_same_melody() -> None:
    notes = read(JIG).notes
    transposed = [Note(note.midi + 5, note.length) for note in notes]
    assert melody(transposed) == melody(notes)
    assert len(melody(notes)) == len(notes) - 1
    assert melody([]) == ""


def test_a_melody_in_another_rhythm_is_another() -> None:
    notes = read(JIG).notes
    slow = [Note(note.midi, 2 * note.length) for note in notes]
    assert Corpus([melody(notes)]).longest_run(melody(slow)).length < 5


def test_the_body_is_what_follows_the_key() -> None:
    assert body("X:1\nK:C\nabc|\nK:G\nabc|") == "abc|\nK:G\nabc|"
    assert body("abc|") == "abc|"
    assert body("") == ""

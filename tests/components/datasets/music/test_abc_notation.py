"""The sampler's own check: what is ABC, what is a tune, what adds up."""

import random
import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.datasets.music.abc_notation import Tune, check, key_signature, parse_tune
from components.datasets.music.music_theory import bar_length, unit_length
from tests.music_data import real_tunes

HEADER = "X:1\nT:A tune\nZ: id:dc-slide-7\nM:{metre}\nL:1/8\nK:{key}\n"


def tune(music: str, metre: str = "4/4", key: str = "C Major") -> str:
    return HEADER.format(metre=metre, key=key) + music


def read(music: str, **header: str) -> Tune:
    return parse_tune(tune(music, **header))


def pitches(music: str, **header: str) -> list[int]:
    return [pitch for note in read(music, **header).notes for pitch in note.pitches]


def eighths(music: str, **header: str) -> list[Fraction]:
    return [note.duration * 8 for note in read(music, **header).notes]


def test_the_real_tunes_are_valid_but_for_twenty_with_faults_of_their_own() -> None:
    problems = {text: check(text) for text in real_tunes()}
    faulty = {text: found for text, found in problems.items() if found}
    assert len(problems) == 806
    assert len(faulty) == 20
    kinds = ("no X: field", "no notes", "unknown metre", "cannot read", "too short", "too long")
    assert all(any(kind in problem for kind in kinds for problem in found) for found in faulty.values())


def test_a_note_removed_from_any_middle_bar_is_noticed() -> None:
    generator = random.Random(1)  # noqa: S311
    for text in generator.sample([text for text in real_tunes() if not check(text)], 60):
        body = text.index("\n", text.index("\nK:") + 1)
        inner = [bar.number for bar in parse_tune(text).bars if not bar.opens and not bar.closes]
        places = [place for place in range(body, len(text)) if text[place] in "ABCDEFGabcdefg"]
        for place in generator.sample(places, 5):
            without = text[:place] + text[place + 1 :].lstrip("0123456789/,'")
            number = len(parse_tune(text[:place]).bars) + 1
            if number in inner:
                assert check(without), f"{text[place]!r} is gone from bar {number} of {text}"


@pytest.mark.parametrize(
    "music",
    [
        "CDEF GABc|cBAG FEDC|]!",
        "|:CDEF GABc|cBAG FEDC:|",
        "CDEF GABc|cBAG FEDC::EFGA BcBA|GFED C4:|",
        "G2|CDEF GABc|cBAG FE:|!\nc2|CDEF GABc|cBAG FE|]!",
        "G|CDEF GABc|cBAG FED:|!\nc|cBAG FEDC|C4 C3|]!",
        "CDEF GABc|[1 cBAG FEDC:|[2 C8|]",
        "CDEF GABc|1 cBAG FEDC:|2 C8|]",
        "CDEF GABc|cBAG [1 FEDC:|[2 C4|]",
        "C>D E<F G2 A2|(3CDE (3FGA B4|[CEG]4 [CEG]2 z2|]",
        "C4-C4|C4 C4-|C4 C4|]",
        '(CDEF) .G~A !trill!B2|{cd}e4 "Am"a4|]',
        "CDEF GABc|!\nM:6/8\nCDE FGA|[M:2/4]CDEF|]",
        "CDEF GABc| % the rest is a comment [[[\nc8|]",
    ],
)
def test_music_that_is_right(music: str) -> None:
    assert check(tune(music)) == []


@pytest.mark.parametrize(
    ("music", "problem"),
    [
        ("CDEF GAB|cBAG FEDC|C8|]", "bar 1 (line 7) is too short and nothing completes it: 7/8 of 1"),
        ("C8|CDEF GAB|C8|]", "bar 2 (line 7) is too short: 7/8 of 1"),
        ("C8|CDEF GABcd|C8|]", "bar 2 (line 7) is too long: 9/8 of 1"),
        ("G|C8|C8:|", "bar 1 (line 7) is too short and nothing completes it: 1/8 of 1"),
        ("C8|C7|]", "bar 2 (line 7) is too short and nothing completes it: 7/8 of 1"),
        ("C8|C8", "bar 2 (line 7): no bar line at the end"),
        ("C8|C4 Y4|]", "bar 2 (line 7): cannot read 'Y4'"),
        ("C8|!C8|]", "bar 2 (line 7): cannot read '!'"),
        ("C8|C6 (3CD|]", "bar 2 (line 7): a tuplet lacks notes"),
        ("C8|C4 D4>|]", "bar 2 (line 7): '>' is not between two notes"),
        ("C8|-C8|]", "bar 2 (line 7): a tie without a note"),
        ("C8|[CEG C4|]", "bar 2 (line 7): a chord is not closed"),
        ("C8|C4 ]4|]", "bar 2 (line 7): ']' without the notes of a chord"),
        ("C8|C7/5 C|]", "bar 2 (line 7): no note lasts '7/5'"),
        ("C8|C0 C8|]", "bar 2 (line 7): no note lasts '0'"),
        ("C8|]\nK:H Major\nC8|]", "unknown key 'H Major'"),
        ("C8|]\n\nC8|]", "line 8: text after an empty line, which ends a tune"),
        ("", "no notes"),
        ("z8|]", "no notes"),
    ],
)
def test_music_that_is_wrong(music: str, problem: str) -> None:
    assert problem in check(tune(music))


@pytest.mark.parametrize("letter", ["X", "M", "L", "K"])
def test_a_tune_needs_its_headers(letter: str) -> None:
    lines = tune("C8|]").split("\n")
    assert f"no {letter}: field" in check("\n".join(line for line in lines if not line.startswith(letter)))


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("M:5/7", "unknown metre '5/7'"),
        ("M:0/4", "unknown metre '0/4'"),
        ("M:6/8 Ddd e3|f3 g3|", "unknown metre '6/8 Ddd e3|f3 g3|'"),
        ("L:1/3", "unknown unit length '1/3'"),
        ("K:D Majestic", "unknown key 'D Majestic'"),
        ("X:one", "X: is not a number but 'one'"),
    ],
)
def test_a_header_must_mean_something(field: str, problem: str) -> None:
    lines = tune("C8|]").split("\n")
    assert problem in check("\n".join(field if line[:2] == field[:2] else line for line in lines))


@pytest.mark.parametrize(
    ("key", "altered"),
    [
        ("C Major", ""),
        ("D Major", "F^C^"),
        ("A", "F^C^G^"),
        ("E Minor", "F^"),
        ("Em", "F^"),
        ("D Mixolydian", "F^"),
        ("Dmix", "F^"),
        ("A Dorian", "F^"),
        ("G Dorian", "B_"),
        ("F# Minor", "F^C^G^"),
        ("F Lydian", ""),
        ("E Phrygian", ""),
        ("B Locrian", ""),
        ("Bb", "B_E_"),
        ("C# Major", "F^C^G^D^A^E^B^"),
        ("Cb", "B_E_A_D_G_C_F_"),
        ("A Aeolian", ""),
        ("C ionian", ""),
    ],
)
def test_a_key_alters_its_notes(key: str, altered: str) -> None:
    expected = {name: {"^": 1, "_": -1}[sign] for name, sign in zip(altered[::2], altered[1::2], strict=True)}
    assert key_signature(key) == expected


@pytest.mark.parametrize("key", ["", "H", "d", "G# Major", "D Majestic", "D Mi", "Major", "D Major Major", "A" * 50])
def test_there_is_no_such_key(key: str) -> None:
    assert key_signature(key) is None


def test_metres_and_unit_lengths_are_in_whole_notes() -> None:
    assert bar_length("C") == bar_length("C|") == bar_length("4/4") == 1
    assert bar_length("6/8") == Fraction(3, 4)
    assert bar_length("9/8") == Fraction(9, 8)
    assert [bar_length(text) for text in ("", "none", "4", "4/0", "100/4", "4/3")] == [None] * 6
    assert unit_length("1/16") == Fraction(1, 16)
    assert unit_length("2/8") is None


def test_pitches_follow_octaves_the_key_and_the_accidentals_of_the_bar() -> None:
    assert pitches("C, C c c'|") == [48, 60, 72, 84]
    assert pitches("F C|", key="D Major") == [66, 61]
    assert pitches("=F F f|F|", key="D Major") == [65, 65, 77, 66]
    assert pitches("^G G _G __G ^^G|G|") == [68, 68, 66, 65, 69, 67]
    assert pitches("[CEG]z|") == [60, 64, 67]
    assert pitches("F|!\nK:D Major\nF|[K:F Major]B|") == [65, 66, 70]


def test_lengths_are_as_written() -> None:
    assert eighths("C C2 C/ C3/2 C// C/4|") == [1, 2, Fraction(1, 2), Fraction(3, 2), Fraction(1, 4), Fraction(1, 4)]
    assert eighths("C>D E<F G>>A|") == [Fraction(n, 4) for n in (6, 2, 2, 6, 7, 1)]
    assert eighths("(3CDE (3:2:2CD E|") == [Fraction(2, 3)] * 5 + [1]
    assert eighths("(2CD|", metre="6/8") == [Fraction(3, 2)] * 2
    assert eighths("[C2E2]3/2 z2|") == [3, 2]
    assert [note.tied for note in read("C4-C4|").notes] == [True, False]


def test_a_tune_says_what_kind_it_is() -> None:
    assert read("C8|").type == "slide"
    assert parse_tune("X:1\nK:C").type == ""
    assert read("C8|", metre="C|").metre == 1


HOSTILE = ("a", '"', "[K:", "[1", "(3", "!a", "{a", "a>", "A/////", "a|", "[A", "a-", "|:", "\n", "X:1\n", "²", "\0")


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_long_hostile_text_is_judged_all_the_same(piece: str) -> None:
    # A million characters take 1 to 6 s; anything quadratic would not end here.
    assert check(tune(piece * (50_000 // len(piece))))


@given(st.text(max_size=300))
def test_any_text_gets_an_answer(text: str) -> None:
    assert check(text)
    check(tune(text))


@given(st.text(alphabet="\n|:[]()<>-^_=,'/0123456789ABCGabgz!\"%{}~ KMLX", max_size=200))
def test_any_jumble_of_notation_gets_an_answer(music: str) -> None:
    text = tune(music)
    assert check(text) == check(text)
    assert all(note.ticks > 0 for note in parse_tune(text).notes)
    assert all(0 <= pitch <= 127 for pitch in pitches(music))


@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_a_damaged_tune_gets_an_answer(generator: random.Random, damages: int) -> None:
    text = generator.choice(real_tunes())
    for _ in range(damages):
        start = generator.randrange(len(text))
        text = text[:start] + generator.choice(["", "|", "2", "(3", "[", "\n"]) + text[start + generator.randrange(9) :]
    check(text)


def test_the_reader_loads_nothing_slow() -> None:
    slow = {"torch", "numpy", "pandas", "onnxruntime", "music21"}
    script = "import sys, components.datasets.music.abc_notation; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not slow & set(loaded)


WRITTEN = """X:17
T:Danny Dubry's
Z: id:dc-setdance-15
M:C|
L:1/8
K:D Mixolydian
DEDC DFD2|D2FD CDED|CEDC D2GA|B2G2 G2:|!
(3Bcd|e2dB cBAG|Add2 edcA|GFGB ABcA|GABd gdBe|!
[1 e2dB cBAG|Add2 edcA|GABd gdBd|dcBA G2:|!"""
"""What the model wrote, without the slur that it opened in the first bar."""


def test_a_slur_ends_where_another_began() -> None:
    assert check(WRITTEN) == []
    assert check(WRITTEN.replace("DEDC DFD2", "(D(ED)C D)FD2")) == []
    assert check(WRITTEN.replace("DEDC DFD2|D2FD", "(DEDC DFD2|D2FD)")) == []
    assert check(WRITTEN.replace("DEDC DFD2", "(DEDC DFD2")) == ["'(' without ')'"]
    assert check(WRITTEN.replace("DEDC DFD2", "DED)C DFD2")) == ["bar 1 (line 7): ')' without '('"]
    assert check(WRITTEN.replace("T:Danny Dubry's", "T:Danny (Dubry's")) == []


@pytest.mark.parametrize(
    ("bar", "wrong", "fault"),
    [
        ("dcBA G2:|", "dcBA G2P:|", "bar 14 (line 9): a decoration without a note"),
        ("e2dB cBAG", "eS>B cBAG", "bar 7 (line 8): '>' is not between two notes"),
        ("|e2dB cBAG", "|3e2dB cBAG", "bar 7 (line 8): ending 3 without ending 2"),
    ],
)
def test_what_the_model_wrote_and_the_judge_refused(bar: str, wrong: str, fault: str) -> None:
    assert any(
        problem.partition(": ")[2] == fault.partition(": ")[2] for problem in check(WRITTEN.replace(bar, wrong, 1))
    )
    assert check(WRITTEN.replace("e2dB cBAG", "e2d~B cTBA(u[GB])")) == []

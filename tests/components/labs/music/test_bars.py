"""Bars are judged one by one as the check judges the whole tune."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.datasets.music.abc_notation import TICKS, check, parse_tune
from components.datasets.music.abc_parser import Reader
from components.labs.music.runtime.bars import BarJudge, Verdict
from components.labs.music.runtime.plain_bars import LengthReader, plain_ticks
from components.labs.music.runtime.repair import as_ended
from tests.music_data import real_tunes

HEADER = "X:1\nT:A\nZ: id:dc-reel-1\nM:C\nL:1/8\nK:D Major\n"


def judged(text: str) -> tuple[BarJudge, str]:
    """A judge of the text up to the first character at which it is refused, and what follows that."""
    judge = BarJudge()
    for place, character in enumerate(text):
        if judge.push(character) is Verdict.BAD:
            return judge, text[place:]
    return judge, ""


def accepted(text: str) -> bool:
    judge, rest = judged(text)
    return not rest and judge.ends_well()


def test_of_the_real_tunes_those_that_the_check_accepts_are_accepted_but_for_one() -> None:
    refused = []
    for tune in real_tunes()[::8]:
        valid = not check(tune)
        assert valid or not accepted(tune.rstrip("\n") + "\n"), tune
        refused += [tune] if valid and not accepted(tune.rstrip("\n") + "\n") else []
    (only,) = refused
    assert "T:Johnny Leary's" in only, "a pickup and the bar before its first ending both wait"


@given(st.integers(0, 2**32))
def test_a_tune_can_be_closed_after_any_of_its_bars(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - writes bars
    bars = ["A8|", "A4 B4|", "AB|", "A6:|!\n", "A8:|!\n", "A6|", "A8|1 ", "A6|1 ", "A8:|2 ", "A6:|2 ", "A8||"]
    text, judge = HEADER, judged(HEADER)[0]
    for bar in draw.choices(bars, k=12):
        longer = judge.copy()
        if Verdict.BAD not in [longer.push(character) for character in f"{bar}A"]:
            longer = judge.copy()
            for character in bar:
                longer.push(character)
            text, judge = text + bar, longer
            ended = judged(f"{text}A")[0]
            ended.pending = ""
            closing = ended.closing()
            assert closing is not None, text
            assert check(text + closing) == []


@given(st.integers(0, 2**32))
def test_a_tune_with_mistakes_is_accepted_only_where_the_check_accepts_it(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - makes mistakes
    tune = with_mistakes(draw)
    if "\n\n" not in tune and accepted(f"{tune}\n"):
        assert check(tune) == []


def with_mistakes(draw: random.Random) -> str:
    text = list(draw.choice(real_tunes()).rstrip("\n"))
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(text))
        text[place : place + draw.randint(0, 2)] = draw.choices("AB2/(|:[1]!\n ->z^%KM", k=draw.randint(0, 2))
    return "".join(text).rstrip("\n")


@given(st.integers(0, 2**32))
def test_characters_that_come_together_are_judged_as_one_by_one(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - makes mistakes
    text = with_mistakes(draw)
    if draw.random() < 0.1:
        text = text.replace("|", "")
    single, _ = judged(text)
    judge, place = BarJudge(), 0
    while place < len(text):
        place, verdict = judge.push_line(text, place, min(len(text), place + draw.randint(1, 40)))
        if verdict is Verdict.OPEN and text[place : place + 1] == "\n":
            verdict = judge.push("\n")
        elif verdict is Verdict.OPEN:
            continue
        if verdict is Verdict.BAD:
            break
        place += 1
    assert judge == single


@given(st.integers(0, 2**32))
def test_a_reader_of_lengths_finds_the_bars_and_the_faults_of_every_reader(seed: int) -> None:
    lines = with_mistakes(random.Random(seed)).split("\n")[5:]  # noqa: S311 - makes mistakes
    plain, lengths = Reader(metre=Fraction(1)), LengthReader(metre=Fraction(1))
    for reader in (plain, lengths):
        for line in lines:
            reader.read_line(line, 1)
        reader.finish()
    assert lengths.bars == plain.bars
    assert lengths.faults == plain.faults
    assert any(note.pitches for note in lengths.notes) == any(note.pitches for note in plain.notes)


PARTS = ["A", "^g,", "z", "c'", "2", "/", "3/2", "//", "0", "/3", " ", "(3", ">", "12"]


@given(st.lists(st.sampled_from(PARTS), max_size=9))
def test_a_plain_bar_lasts_what_the_reader_says(parts: list[str]) -> None:
    text = "".join(parts) + "|!\n"
    reader = Reader(unit=Fraction(1, 8))
    reader.read_music(text)
    expected = reader.bars[0].ticks if reader.bars and not reader.faults else None
    assert plain_ticks(text, TICKS // 8, compound=False) == expected


@pytest.mark.parametrize(
    ("music", "fault"),
    [
        ("A8|ABcd efg|A", "is too short"),
        ("A8|ABcd efga b|A", "is too long"),
        ("AB|cdef gabc|d2e2 d3:|A", "nothing completes it"),
        ("ABcd (efga|A", "a slur reaches over the bar line"),
        ("ABcd ef?ga|A", "cannot read"),
        ("ABcd efga" * 30, "no bar line"),
    ],
)
def test_a_bar_that_cannot_become_right_is_refused(music: str, fault: str) -> None:
    judge, rest = judged(HEADER + music)
    assert len(rest) >= 1
    assert fault in judge.fault


@pytest.mark.parametrize(
    "music",
    [
        "AB|cdef gabc|d2e2 f2:|!\n",
        "AB|cdef gabc|d2e2 f2|!\n[1 d2e2 f2:|!\n[2 d2e2 f2|]!\n",
        "AB|cdef gabc|1 d2e2 f2:|2 d2e2 f2|]!\n",
        "cdef gabc|d2e2 f2|]!\nAB|cdef gabc|d2e2 f2|]!\n",
        "cdef gabc|!\nK:G Major\nM:6/8\nABc def|]!\n",
        "(3ABc d2 efga|[K:G Major]A8|[CE]8|]!\n",
    ],
)
def test_a_short_bar_that_another_one_completes_is_good(music: str) -> None:
    assert check(HEADER + music) == []
    assert accepted(HEADER + music)


@pytest.mark.parametrize(
    "line", ["X:one", "X:1\nT:A\nZ: jig", "X:1\nT:A\nL:1/8", HEADER[:28] + "L:1/4", HEADER[:30] + "K:Q", "no field"]
)
def test_a_line_that_belongs_to_no_header_is_refused(line: str) -> None:
    assert judged(f"{line}\n")[1] == "\n"


def test_where_text_is_forced_at_lines_of_given_numbers_no_line_is_left_out() -> None:
    for all_fields, refused in ((True, True), (False, False)):
        judge = BarJudge(all_fields)
        verdicts = {judge.push(character) for character in "X:1\nT:A\nM:C\n"}
        assert (Verdict.BAD in verdicts) == refused


def test_a_given_header_may_have_other_fields() -> None:
    judge = BarJudge()
    verdicts = {judge.push(character, forced=True) for character in "X:1\nR:reel\nM:C\nT:A\nL:1/8\nK:D\n"}
    assert Verdict.BAD not in verdicts


@pytest.mark.parametrize(
    ("music", "closing"),
    [
        ("ABcd efga|", ""),
        ("AB|cdef gabc|", "D6|]!"),
        ("AB|cdef gabc|d2e2 f2:|!\n", ""),
        ("cdef gabc|AB|]", "D6|]!"),
    ],
)
def test_a_tune_is_closed_by_the_bar_that_it_lacks(music: str, closing: str) -> None:
    judge, rest = judged(f"{HEADER}{music}A")
    assert not rest
    judge.pending = ""
    assert judge.closing() == closing
    assert check(HEADER + music + closing) == []


@given(st.sampled_from(["|", "|]", ":|", "||", "::", "|:", "|1", ":|2 ", "|!\n[1", "|!\n", "| ", "|!\n|:"]))
def test_an_end_opens_nothing(line: str) -> None:
    ended = as_ended(f"{HEADER}ABcd efga{line}")
    assert check(ended) == []
    assert ended[-3:] in ("|]!", ":|!", "||!", "::!")
    assert len(parse_tune(ended).bars) == 1

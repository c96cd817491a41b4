"""The form of real tunes, and the line of control codes that says it."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from components.datasets.music.abc_notation import parse_tune
from components.datasets.music.form import coded_form, find_form
from components.datasets.music.form_reader import CODES, Form, Part
from components.datasets.music.reader import read_forms, read_texts, read_tunes
from components.files import read_json

HEADER = "X:1\nT:A\nM:C\nL:1/8\nK:D\n"
FOUR = "abcd efga|bcde fgab|cdef gabc|"
HORNPIPE = """X:1
T:Alexander's
M:C|
L:1/8
K:D Major
(3ABc|dAFA DFAd|fdcd FAdf|gfge fefd|(3efe (3dcB A2 (3ABc|!
dAFA DFAd|fdcd FAdf|gfge fefd|(3efe dc d2:|!
AG|FAdA FAdA|GBdB GBdB|Acec Acec|dfaf gecA|!
FAdA FAdA|GBdB GBdB|Aceg fefd|(3efe dc d2:|!"""


@pytest.fixture(scope="module")
def texts(prepared_music: Path) -> list[str]:
    return read_texts(prepared_music, "train")


def form_of(music: str) -> Form | None:
    return find_form(parse_tune(HEADER + music))


def test_pickup_parts_and_what_comes_again_are_found_in_a_tune() -> None:
    """The second line of the first part has three bars of the first again; the second part ends as the first does."""
    form = find_form(parse_tune(HORNPIPE))
    assert form == Form(Fraction(1, 4), (Part("....111.", ":"), Part("....11.2", ":")))
    assert form == coded_form(parse_tune(HORNPIPE), HORNPIPE)
    assert form.line == "r:2 ....111.:....11.2:"
    assert form.head == "r:2 8:8:\n"
    assert form.codes == ["2....-", "2111.:", "2....-", "211.2:"]
    assert [(part.bars, part.repeated) for part in form.parts] == [(8, True), (8, True)]


@pytest.mark.parametrize(
    ("music", "line"),
    [
        (f"{FOUR}a8|]", "r:0 ....|"),
        (f"{FOUR}a8:|", "r:0 ....:"),
        ("a8|b8|a8|b8|b8|c8|b8|c8|]", "r:0 ..bbx.bb|"),
        (f"A|{FOUR}a7:|", "r:1 ....:"),
        (f"A/|{FOUR}a15/2:|", "r:1/2 ....:"),
        (f"{FOUR}a8|]{FOUR}a8:|", "r:0 ....|1111:"),
        (f"{FOUR}a8|]c8|d8|e8|f8|]{FOUR}a8:|", "r:0 ....|....|2222:"),
        (f"{FOUR}[1 a8:|[2 b8|]", "r:0 ....["),
        (f"{FOUR}[1 a8:|[2 b8|]{FOUR}b8|]", "r:0 ....[xxx1|"),
    ],
)
def test_the_line_of_a_form(music: str, line: str) -> None:
    form = form_of(music)
    assert form is not None
    assert form.line == line
    assert Form.of_line(line) == form


@pytest.mark.parametrize(
    "music",
    [
        f"{FOUR}[1 a8:|[2 b8|]",  # an ending
        f"{FOUR}a8|{FOUR}a8|]",  # eight bars in a line
        f"{FOUR[:20]}\n{FOUR[20:]}a8|]",
        f"{FOUR}a8|]\nM:C\n{FOUR}a8|]",
    ],
)
def test_a_tune_whose_lines_are_no_phrases_has_no_codes(music: str) -> None:
    text = HEADER + music
    assert form_of(music) is not None
    assert coded_form(parse_tune(text), text) is None


@pytest.mark.parametrize(
    "music",
    [
        "",
        FOUR,  # three bars
        f"{FOUR}a8|{FOUR}|]",  # seven
        f"{FOUR}a7:|",  # the last bar is short, and there was no pickup
        f"A|{FOUR}a7:|{FOUR}a8:|",  # the second part has no pickup
        f"{FOUR}a8|]A4|{FOUR}a4:|",
        f"{FOUR}[1 a8:|[2 b8|b8|]",  # another number of bars the second time
        f"{FOUR}[M:3/4]a6|]",
        f"{FOUR * 7}abc2 d4|ab2c d4|a2bc d4:|",  # longer than any part of the collection's
    ],
)
def test_an_odd_tune_has_no_form(music: str) -> None:
    assert form_of(music) is None


@pytest.mark.parametrize(
    "line", ["", "r:\n", "r:1 \n", "r:1 05:\n", "r:1 02\n", "r: 02:\n", "X:1\n", "r:1 02:03:\nX:1\n"]
)
def test_what_is_no_line_of_a_form_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="is no form"):
        Form.of_line(line)


def test_what_the_line_says_of_a_real_tune_is_what_the_parser_finds_in_it(texts: list[str]) -> None:
    """Nine of ten training tunes have a form. Bars, pickup and repeat signs are counted here in another way."""
    found = 0
    for text in texts:
        tune = parse_tune(text)
        form = find_form(tune)
        if form is None:
            continue
        found += 1
        assert Form.of_line(form.line) == form
        full = tune.bars[0].full or 0
        ticks = [bar.ticks for bar in tune.bars]
        if not any(part.end == "[" for part in form.parts):
            assert sum(ticks) == full * sum(part.bars for part in form.parts)
            assert text.count(":|") == sum(part.end == ":" for part in form.parts)
            assert text.count("|]") == sum(part.end == "|" for part in form.parts)
        assert (form.pickup > 0) == (ticks[0] < full)
        assert form.parts[0].again[0] == "."
    assert found > 0.9 * len(texts)


def test_most_real_tunes_have_two_parts_of_eight_bars(texts: list[str]) -> None:
    forms = [form for text in texts if (form := find_form(parse_tune(text)))]
    shapes = Counter(tuple((part.bars, part.repeated) for part in form.parts) for form in forms)
    assert shapes.most_common(1)[0][0] == ((8, True), (8, True))
    assert 0.5 < shapes[(8, True), (8, True)] / len(forms) < 0.7


def test_prepared_tunes_say_their_form_for_the_training(prepared_music: Path) -> None:
    rows = read_tunes(prepared_music)
    for row in rows:
        form = coded_form(parse_tune(row["text"]), row["text"])
        assert row["form"] == (form.line if form else "")
    assert sum(row["form"] != "" for row in rows) > 0.75 * len(rows)
    forms = read_forms(prepared_music)
    assert set(forms) <= set(read_texts(prepared_music, "train"))
    assert len(forms) > 500


def test_a_vocabulary_has_all_that_codes_are_made_of(texts: list[str], prepared_music: Path) -> None:
    forms = [form for text in texts if (form := coded_form(parse_tune(text), text))]
    assert {character for form in forms for character in form.head + "".join(form.codes)} <= CODES
    assert {*read_json(prepared_music / "vocabulary.json")} >= CODES

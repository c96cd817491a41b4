"""A tune that is to have a form: its bars are judged by it while they are written."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.bundle import Bundle
from components.datasets.music.abc_notation import check, parse_tune
from components.datasets.music.form import find_form
from components.datasets.music.form_reader import Form
from components.datasets.music.reader import read_texts
from components.labs.music.runtime.acceptance import generate_checked
from components.labs.music.runtime.bars import BarJudge, Verdict
from components.labs.music.runtime.conditioning import Conditions, Options
from components.labs.music.runtime.form_text import UNKNOWN, bar_line, bars_of, given_after
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.prompt import conditioned, may_have_form
from components.labs.music.runtime.request import TuneRequest
from components.labs.music.runtime.sampler import Batch, generate
from components.labs.music.runtime.tune import Tune

HEADER = "X:1\nT:A\nM:C\nL:1/8\nK:D\n"
THREE = "abcd efga|bcde fgab|cdef gabc|"


def judged(text: str, line: str) -> BarJudge:
    """A judge of the text up to the first character at which it is refused."""
    judge = BarJudge(form=Form.of_line(line))
    for character in text:
        if judge.push(character) is Verdict.BAD:
            return judge
    return judge


def test_every_real_tune_is_accepted_with_its_own_form(prepared_music: Path) -> None:
    followed = 0
    for text in read_texts(prepared_music, "train")[::4]:
        if form := find_form(parse_tune(text)):
            judge = judged(f"{text}\n", form.line)
            assert judge.fault == ""
            assert judge.ends_well()
            followed += 1
    assert followed > 100


@pytest.mark.parametrize(
    ("line", "music", "fault"),
    [
        ("r:0 ....:", f"{THREE}|a", "part 1: it ends too soon"),
        ("r:0 ....:", f"{THREE}a8|a", "part 1: it does not end in time"),
        ("r:0 ....:", "A|a", "part 1: its pickup is another"),
        ("r:1 ....:", "a8|a", "part 1: its pickup is another"),
        ("r:1 ....:", f"A|{THREE}a8|a", "part 1: it is too long"),
        ("r:0 ....:", f"{THREE}a8|]!\na", "part 1: no repeat sign"),
        ("r:0 ....|", f"{THREE}a8:|!\na", "part 1: a repeat sign"),
        ("r:0 ....:", f"{THREE}[1 a", "part 1: an ending"),
        ("r:0 ....[", f"{THREE}a8:|!\na", "part 1: it ends without an ending"),
        ("r:0 ....[", f"{THREE}[1 a8|a", "part 1: it does not end in time"),
        ("r:0 ....[....:", f"{THREE}[1 a8:|!\nb8|a", "part 1 has not ended"),
        ("r:0 ....:....:", f"{THREE}a8:|!\n{THREE}a8|]!\na", "part 2: no repeat sign"),
        ("r:0 ....:", f"{THREE}a8:|!\na8|a", "a part more than the 1 that it is to have"),
    ],
)
def test_what_does_not_follow_the_form_is_refused(line: str, music: str, fault: str) -> None:
    assert judged(HEADER + music, line).fault == fault


@pytest.mark.parametrize(
    ("line", "music"),
    [
        ("r:0 ....:", f"{THREE}a8:|!\n"),
        ("r:1 ....:....|", f"A|{THREE}a7:|!\nA|{THREE}a7|]!\n"),
        ("r:0 ....[....:", f"{THREE}[1 a8:|[2 b8|]!\n{THREE}a8:|!\n"),
        ("r:0 ....[", f"{THREE}|1 a8:|2 b8|]!\n"),
        ("r:1 ........:", f"A|{THREE}a8|{THREE}[1 a7:|!\n".replace("[1 a7", "a7")),
    ],
)
def test_a_tune_that_follows_its_form_may_end_and_not_before(line: str, music: str) -> None:
    judge = judged(HEADER + music, line)
    assert judge.fault == ""
    assert judge.ends_well()
    assert not judged(HEADER + music[: music.index("|") + 1], line).ends_well()


def test_a_tune_that_cannot_be_written_to_its_form_is_closed_like_any_other() -> None:
    judge = judged(f"{HEADER}A|{THREE}d", "r:1 ........:")
    judge.pending = ""
    closing = judge.closing()
    assert closing is not None
    assert check(f"{HEADER}A|{THREE}{closing}") == []


@given(st.integers(0, 2**32))
def test_bars_at_random_follow_a_form_only_where_the_parser_finds_it(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - writes bars
    form = Form.of_line(
        draw.choice(["r:0 ....:", "r:1 ....:....:", "r:1 ....|....:", "r:0 ....[....:", "r:0 ........|"])
    )
    pieces = ["A|", "a8|", "a7:|!\n", "a8:|!\n", "a8|]!\n", "a7|]!\n", "[1 a8:|!\n", "[2 a8|]!\n", "bc de f4|"]
    text, judge = HEADER, judged(HEADER, form.line)
    for piece in draw.choices(pieces, k=60):
        longer = judge.copy()
        if Verdict.BAD in [longer.push(character) for character in f"{piece}A"]:
            continue
        longer = judge.copy()
        for character in piece:
            longer.push(character)
        text, judge = text + piece, longer
        if judge.ends_well():
            found = find_form(parse_tune(text))
            assert found is not None, text
            assert [(part.bars, part.end) for part in found.parts] == [(part.bars, part.end) for part in form.parts]
            assert found.pickup == form.pickup
            return


@pytest.fixture(scope="module")
def model(music_bundle: Path) -> TuneModel:
    return TuneModel.load(Bundle.open(music_bundle), "int8")


@pytest.fixture(scope="module")
def options(music_bundle: Path) -> Options:
    return Options.of_spec(Bundle.open(music_bundle).spec)


def test_requests_with_a_form_end_in_tunes_that_have_it(model: TuneModel, options: Options) -> None:
    asked = [Conditions(parts=2, bars=4), Conditions(parts=2, bars=8, repeats=True)]
    wanted = [
        (TuneRequest(seed=seed, max_length=400, temperature=0.7, redraws=64), conditions)
        for conditions in asked
        for seed in range(16)
    ]
    tunes = generate_checked(model, options, wanted)
    assert sum(not tune.problems for tune in tunes) >= 24
    for tune, (_, conditions) in zip(tunes, wanted, strict=True):
        form = find_form(parse_tune(tune.text))
        has_it = form is not None and conditions.has_form(form)
        assert has_it == ("parts, bars or repeats are not as asked" not in tune.problems)
        assert "r:" not in tune.text


def test_a_seed_draws_the_same_form_and_makes_the_same_tune_alone_and_in_a_batch(
    model: TuneModel, options: Options
) -> None:
    requests = [
        conditioned(TuneRequest(seed=seed, max_length=300, redraws=64), conditions, options)
        for seed, conditions in enumerate(
            [Conditions(), Conditions(parts=2), Conditions(bars=8), Conditions(bars=4)] * 4
        )
    ]
    assert len({request.form for request in requests}) > 2
    assert generate(model, requests) == [generate(model, [request])[0] for request in requests]


def test_what_the_model_reads_before_a_tune_changes_what_it_writes(model: TuneModel) -> None:
    plain, *others = [
        TuneRequest(seed=3, max_length=300, form=form)
        for form in (None, Form.of_line("r:0 ....1...:....1...:"), Form.of_line("r:2 ....:....:"))
    ]
    texts = {sample.text for sample in generate(model, [plain, *others])}
    assert len(texts) == 3


def test_a_start_has_only_forms_that_go_on_from_it(prepared_music: Path) -> None:
    options = Options.of_tunes(read_texts(prepared_music, "train"), 3)
    for start, pickup in (("AB|cdef gabc'|", "r:2 "), ("cdef gabc'|d", "r:0 ")):
        for seed in range(20):
            asked = Conditions(start=start, metre="C", parts=2)
            request = conditioned(TuneRequest(seed=seed), asked, options)
            assert request.form is not None
            assert request.form.line.startswith(pickup)
    waltzes = {Form.of_line(line) for line in options.forms_of(Conditions(metre="3/4", parts=2))}
    header = Conditions(start="X:1\nM:3/4\nL:1/8\nK:D\n", parts=2)
    assert {conditioned(TuneRequest(seed=seed), header, options).form for seed in range(20)} <= waltzes
    music = Conditions(start="X:1\nM:3/4\nL:1/8\nK:D\nA6|", parts=2)
    assert conditioned(TuneRequest(seed=1), music, options).form is None
    assert not may_have_form(music, options)


def test_bars_that_the_form_says_again_are_the_very_bars_and_the_lines_are_the_collections() -> None:
    form = Form.of_line("r:1 ....11.b:....1.22:")
    bars = ["aaaa", "bbbb", "cccc", "dddd"]
    assert bars_of(form, f"{HEADER}A|aaaa|bbbb|cccc|dddd|!\n", 4) == bars
    assert bars_of(form, f"{HEADER}A|aaaa|bbbb|cccc|dddd|!\n", 5) == [UNKNOWN] * 5, "bars are missing"
    said = given_after(form, bars, pickup=False)
    assert (said.bar_line, said.again, said.pickup) == ("|!\n", "aaaa|bbbb|", False)
    said = given_after(form, [*said.bars, "eeee"], pickup=False)
    assert (said.bar_line, said.again) == ("|", "bbbb:|!\n")
    assert said.pickup, "the next part begins with a pickup of the model's"
    said = given_after(form, said.bars, pickup=True)
    assert (said.bar_line, said.again, said.pickup) == ("|", "", False)
    said = given_after(form, [*said.bars, "ffff", "gggg", "hhhh", "iiii"], pickup=False)
    assert (said.bar_line, said.again) == ("|!\n", "ffff|")
    said = given_after(form, [*said.bars, "kkkk"], pickup=False)
    assert (said.bar_line, said.again) == ("|", "eeee|bbbb:|!\n")
    assert [bar_line(form, index) for index in (0, 3, 7, 15)] == ["|", "|!\n", ":|!\n", ":|!\n"]
    assert bar_line(Form.of_line("r:0 ....|"), 3) == "|]!\n"


def test_a_bar_that_is_not_known_yet_is_not_said_again() -> None:
    form = Form.of_line("r:0 ..b.:")
    assert given_after(form, [UNKNOWN, "bbbb"], pickup=False)[:2] == ("|", "")
    assert given_after(form, ["aaaa", UNKNOWN], pickup=False)[:2] == ("|", "aaaa|")


@pytest.mark.parametrize("start", ["", "AB|", "AB|cd", "cdef gabc'|", "cdef gabc'|d", "cdef gabc'|abcd efga|"])
def test_a_call_is_told_what_follows_its_bar_lines(model: TuneModel, options: Options, start: str) -> None:
    """What the graph writes after the bar line that it chooses is what the tune then finds, in calls of any length."""
    asked = [TuneRequest(seed=seed, max_length=300, redraws=64) for seed in range(4)]
    requests = [conditioned(request, Conditions(start=start, metre="C"), options) for request in asked]
    forms = ["r:2 ....11..:....1.b.:" if start.startswith("AB") else "r:0 ..b.11..:....1...:", "r:0 ..b.11..:....1...|"]
    requests += [replace(request, form=Form.of_line(line)) for request in requests for line in forms]
    whole = generate(model, requests)
    for count in (1, 4, 5):
        for request, sample in zip(requests, whole, strict=True):
            batch, tune = Batch[Tune](model, 7), Tune(request, model)
            batch.join(tune)
            while len(batch):
                batch.step(count)
            assert tune.sample == sample
    assert start or any(":|!\n" in sample.text for sample in whole)


def test_bars_that_are_said_again_are_not_drawn(model: TuneModel, options: Options) -> None:
    """Each bar that is to come again is the one that the form names, in accepted tunes with the form that was drawn."""
    wanted = [(TuneRequest(seed=seed, max_length=400, redraws=64), Conditions(parts=2)) for seed in range(24)]
    again = 0
    for tune in generate_checked(model, options, wanted):
        found = find_form(parse_tune(tune.text))
        if tune.problems or found is None or tune.form is None or len(found.parts) != len(tune.form.parts):
            continue
        for said, has in zip(tune.form.parts, found.parts, strict=True):
            pairs = [pair for pair in zip(said.again, has.again, strict=False) if pair[0] != "."]
            again += len(pairs)
            assert all(written != "." for _, written in pairs)
    assert again > 20

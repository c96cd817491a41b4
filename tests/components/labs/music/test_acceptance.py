"""Which written tunes count: one rule, for evaluation and for the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.bundle import Bundle
from components.datasets.music.abc_notation import check
from components.labs.music.runtime.acceptance import facts, generate_checked, problems
from components.labs.music.runtime.conditioning import Conditions, Options
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.request import Sample, TuneRequest

TUNE = """X:1
T:The Open Window, 50% off
Z: id:dc-reel-1
M:C
L:1/8
K:D Major
|:dfaf gfed|cecA BAFA|dfaf gfec|d2dc d4:|"""
ANYTHING = Conditions()


@pytest.fixture(scope="module")
def bundle(music_bundle: Path) -> Bundle:
    return Bundle.open(music_bundle)


def test_a_valid_tune_that_has_ended_is_accepted_and_one_that_was_cut_off_is_not() -> None:
    assert problems(Sample(TUNE, ended=True), ANYTHING) == []
    assert problems(Sample(TUNE, ended=False), ANYTHING) == ["cut off before its end, and no bar closes it well there"]


def test_what_is_not_valid_abc_is_said() -> None:
    broken = TUNE.replace("cecA BAFA", "cecA BAF")
    assert problems(Sample(broken, ended=True), ANYTHING) == check(broken) != []


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ({"key": "D Major"}, {"key": "G Major"}),
        ({"metre": "C"}, {"metre": "6/8"}),
        ({"type": "reel"}, {"type": "jig"}),
        ({"title": " The Open Window, 50% off"}, {"title": "The Open Door"}),
        ({"start": "|:dfaf"}, {"start": "|:dfag"}),
        ({"start": TUNE[:30]}, {"start": "X:2\n"}),
        ({"start": TUNE + "\n"}, {"start": TUNE + "\nA"}),
    ],
)
def test_a_tune_must_be_what_was_asked_for(asked: dict[str, Any], other: dict[str, Any]) -> None:
    assert problems(Sample(TUNE, ended=True), Conditions(**asked)) == []
    (problem,) = problems(Sample(TUNE, ended=True), Conditions(**other))
    assert problem.startswith(next(iter(other)))


def test_music_may_start_with_what_looks_like_a_field() -> None:
    tune = Sample(TUNE.replace("|:dfaf", "A:|dfaf"), ended=True)
    assert "start is not where the music begins" not in problems(tune, Conditions(start="A:|dfaf"))


def test_the_facts_of_a_tune_are_its_headers() -> None:
    expected = {"title": "The Open Window, 50% off", "key": "D Major", "metre": "C", "type": "reel"}
    assert facts(TUNE) == expected
    assert facts("no tune") == dict.fromkeys(expected, "")
    assert facts("X:1\nK:C\nM:6/8\nA|")["metre"] == "", "a field after K: is no header"


def test_every_request_ends_in_a_tune_and_the_same_seeds_give_the_same_tunes(bundle: Bundle) -> None:
    model, options = TuneModel.load(bundle, "int8"), Options.of_spec(bundle.spec)
    asked = [Conditions(metre=metre) for metre in options.metres] + [Conditions(type=type) for type in options.types]
    start = Conditions(start="X:7\nT:New\nM:6/8\nL:1/8\nK:G Major\n")
    wanted = [
        (TuneRequest(seed=seed, max_length=300, redraws=64), conditions)
        for seed, conditions in enumerate([*asked, start, start])
    ]
    tunes = generate_checked(model, options, wanted)
    assert all(not tune.problems and not check(tune.text) for tune in tunes)
    assert all(tune.text.startswith(start.start) for tune in tunes[-2:])
    assert max(tune.sample.redrawn for tune in tunes) > 1, "some bar must fail, or this tests nothing"
    assert generate_checked(model, options, wanted[4:6], batch=1) == tunes[4:6]


def test_a_tune_that_is_not_accepted_says_why(bundle: Bundle) -> None:
    model, options = TuneModel.load(bundle, "int8"), Options.of_spec(bundle.spec)
    wanted = [(TuneRequest(seed=1, max_length=30, redraws=8), Conditions(start="X:1\nK:H\n"))]
    (tune,) = generate_checked(model, options, wanted)
    assert tune.problems

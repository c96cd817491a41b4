"""Bars that come out wrong are drawn again, by a model that writes what a test says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.bundle import Bundle
from components.datasets.music.abc_notation import check
from components.labs.music.runtime.history import LayerState
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.request import Sample, TuneRequest
from components.labs.music.runtime.sampler import Batch, generate
from components.labs.music.runtime.tune import ENDINGS, Tune
from components.labs.music.runtime.tune_state import FURTHER_BACK
from components.labs.music.runtime.vocabulary import Vocabulary

HEADER = "X:1\nT:A\nZ: id:dc-reel-1\nM:C\nL:1/8\nK:D Major\n"
BARS = ["ABcd efga|", "A4 B4|", "ABc|", "ABcd efga b|", "A8:|!\n", "A6:|!\n", "AB|", "[1 A8|", "A8|!\n", "?|", "|!\n"]
BARS += ["\n\n"]
SAME_FIXTURES = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def model(music_bundle: Path) -> TuneModel:
    return TuneModel.load(Bundle.open(music_bundle), "int8")


def written(pieces: list[str], **asked: Any) -> tuple[Tune, list[str]]:
    """A tune whose bars are drawn from these, one after the other, and its text as it was told."""
    vocabulary = Vocabulary(sorted(set("".join([HEADER, *BARS, *pieces, "DdZ|]!0123456789/)"]))))
    tune = Tune(
        TuneRequest(seed=1, forced={0: HEADER}, **asked), cast(TuneModel, SimpleNamespace(vocabulary=vocabulary))
    )
    told, layers = [tune.new_text()], LayerState(np.zeros(1), np.zeros(1), read=0)
    tune.to_read(len(tune.unread))
    tune.save_read(layers)
    for piece in pieces:
        if tune.finished:
            break
        # One more character shows that a bar is over, and is thrown away with what is wrong.
        goes_on = tune.take(vocabulary.encode(piece))
        if not (goes_on or tune.finished):
            tune.to_read(len(tune.unread))
            tune.save_read(layers)
        told.append(tune.new_text())
    return tune, told


@SAME_FIXTURES
@given(st.lists(st.sampled_from(BARS), min_size=1, max_size=40), st.integers(1, 12), st.integers(20, 200))
def test_whatever_is_drawn_only_right_bars_stay_and_what_was_told_stays(
    pieces: list[str], redraws: int, length: int
) -> None:
    tune, told = written(pieces, redraws=redraws, max_length=length)
    if tune.ended:
        assert check(tune.sample.text) == []
    assert tune.sample.redrawn <= redraws + 1
    assert tune.sample.text.startswith("".join(told).rstrip("\n"))
    assert "?" not in "".join(told)


def test_a_wrong_bar_is_drawn_again_and_the_good_ones_stay() -> None:
    tune, _ = written(["ABcd efga|", "ABc|", "A", "A4 B4|", "A8:|!\n", "\n"], redraws=5)
    assert tune.sample == Sample(f"{HEADER}ABcd efga|A4 B4|A8:|!", ended=True, drawn=28, redrawn=1)


def test_a_tune_is_closed_when_it_was_drawn_again_too_often() -> None:
    tune, _ = written(["ABcd efga|", *["ABc|A"] * 3], redraws=2)
    assert tune.sample.text == f"{HEADER}ABcd efga|]!"
    assert tune.sample.closed


def test_a_pickup_that_no_bar_fits_is_drawn_again_with_them() -> None:
    """The first bar is right where it stands; that it was a mistake only shows in those that follow."""
    tune, told = written(["AB|", *["cde|A"] * FURTHER_BACK, *["ABcd efga|"] * 5, "A8|]!\n", "\n"], redraws=64)
    assert tune.sample.text == f"{HEADER}{'ABcd efga|' * 4}A8|]!"
    assert tune.ended
    assert not tune.sample.closed
    assert all(HEADER.startswith(text) or "AB|" not in text for text in told), "what may be drawn again is not told"


def test_an_end_that_does_not_fit_draws_the_last_bar_again() -> None:
    opening = ["AB|", *["ABcd efga|"] * 5]
    tune, _ = written([*opening, "\n\n", "A6|]!\n", "\n"], redraws=64)
    assert tune.sample.text == f"{HEADER}AB|{'ABcd efga|' * 4}A6|]!"
    assert tune.sample.redrawn == 1
    tune, _ = written([*opening, "\n\n", "\n\n", "A6|]!\n", "\n"], redraws=64)
    assert tune.sample.text == f"{HEADER}AB|{'ABcd efga|' * 3}A6|]!", "nothing came after the bar that was kept"


def test_a_tune_that_finds_no_end_is_closed_in_place_of_its_last_bar() -> None:
    opening = ["AB|", *["ABcd efga|"] * 5]
    tune, _ = written([*opening, *["\n\n", "ABcd efga|"] * ENDINGS, "\n\n"], redraws=64)
    assert tune.sample.text == f"{HEADER}AB|{'ABcd efga|' * 4}D6|]!"
    assert tune.sample.closed


def test_a_bar_line_that_goes_on_after_a_bar_was_thrown_away_is_judged_as_what_it_became() -> None:
    """`|` and then `|` make `||`, which ends a section: its bars must add up."""
    tune, _ = written(["AB|", "ABcd efga|", "ABc|A", "|!\n", "ABcd efga|", "A6|]!\n", "\n"], redraws=64)
    assert check(tune.sample.text) == []


def test_a_tune_that_is_too_long_is_closed_after_its_last_good_bar() -> None:
    tune, _ = written(["AB|", "cdef gabc|", "cdef gabc|"], redraws=2, max_length=20)
    assert tune.sample.text == f"{HEADER}AB|cdef gabc|D6|]!"
    assert tune.sample.closed


def test_a_tune_without_a_bar_is_not_closed() -> None:
    tune, _ = written(["ABc", "def"], redraws=2, max_length=5)
    assert tune.finished
    assert not tune.ended


def requests(count: int) -> st.SearchStrategy[list[TuneRequest]]:
    request = st.builds(
        TuneRequest,
        seed=st.integers(0, 2**53 - 1),
        temperature=st.sampled_from([0.2, 1.0, 1.3]),
        top_k=st.sampled_from([0, 1, 5]),
        max_length=st.integers(60, 200),
        redraws=st.sampled_from([0, 3, 40]),
        forced=st.sampled_from([{}, {0: HEADER}, {2: "Z: id:dc-jig-", 3: "M:6/8\n", 5: "K:G Major\n", 6: "B3 cBc|"}]),
    )
    return st.lists(request, min_size=count, max_size=count)


@SAME_FIXTURES
@given(requests(5), st.integers(1, 19), st.integers(0, 4))
def test_a_tune_that_is_drawn_again_is_the_same_alone_and_in_a_batch(
    model: TuneModel, wanted: list[TuneRequest], steps: int, one: int
) -> None:
    alone = generate(model, [wanted[one]], batch=1)[0]
    assert generate(model, wanted, batch=5)[one] == alone
    assert generate(model, wanted, batch=2)[one] == alone
    tune, batch = Tune(wanted[one], model), Batch[Tune](model, read_chars=7)
    batch.join(tune)
    while len(batch):
        batch.step(steps)
    assert tune.sample == alone


def test_a_wrong_bar_is_drawn_again_without_reading_what_stays(model: TuneModel) -> None:
    class Unread:
        """A model that refuses to read."""

        def __getattr__(self, name: str) -> Any:
            assert name != "read"
            return getattr(model, name)

    requests = [TuneRequest(seed=seed, temperature=1.3, max_length=300, redraws=64) for seed in range(16)]
    tunes = generate(cast(TuneModel, Unread()), requests)
    assert sum(tune.redrawn for tune in tunes) > 0


def test_what_is_told_is_never_taken_back(model: TuneModel) -> None:
    for seed in range(6):
        tune = Tune(TuneRequest(seed=seed, temperature=1.2, max_length=300, redraws=64), model)
        batch, told = Batch[Tune](model), ""
        batch.join(tune)
        while len(batch):
            batch.step()
            told += tune.new_text()
        assert told.rstrip("\n") == tune.sample.text

"""Intervals hold the truth as often as they say, and are the textbooks' where textbooks have them."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.labs.faces.audit.intervals import difference, gap, paired_difference
from components.labs.faces.audit.permutation import resampled_hits
from components.stats import Bounds

Z = 1.959964
COUNTS = st.integers(1, 2000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    # Newcombe 1998, table II, method 10.
    [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((10, 10), (0, 10), 0.6075, 1.0)],
)
def test_a_difference_has_newcombes_interval(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    found = difference(first, second, Z)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


@settings(deadline=None)
@given(first=COUNTS, second=COUNTS)
def test_a_difference_turns_its_sign_with_its_groups(first: tuple[int, int], second: tuple[int, int]) -> None:
    there, back = difference(first, second, Z), difference(second, first, Z)
    assert (there.low, there.value, there.high) == pytest.approx((-back.high, -back.value, -back.low))
    assert -1 <= there.low <= there.value <= there.high <= 1


def test_more_faces_make_every_interval_narrower() -> None:
    widths = [difference((95 * n, 100 * n), (90 * n, 100 * n), Z) for n in (1, 4, 16)]
    spans = [float(found.high - found.low) for found in widths]
    assert spans[0] > 1.8 * spans[1] > 3.2 * spans[2]


def test_detectors_that_agree_have_a_narrow_paired_interval_and_identical_ones_lose_nothing() -> None:
    agree = paired_difference(900, 10, 10, 80, Z)
    strangers = difference((910, 1000), (910, 1000), Z)
    assert agree.high - agree.low < 0.5 * (strangers.high - strangers.low)
    same = paired_difference(950, 0, 0, 50, Z)
    assert same.value == 0
    assert same.low > -0.005
    assert paired_difference(900, 40, 10, 50, Z).low > 0


@pytest.mark.parametrize("rate", [0.9, 0.97, 0.995])
def test_the_paired_interval_holds_the_truth_as_often_as_it_says(rate: float) -> None:
    random = np.random.default_rng(0)
    cells = np.array([rate - 0.02, 0.02, 0.005, 1 - rate - 0.005])
    a, b, c, d = np.maximum(random.multinomial(400, cells / cells.sum(), size=4000), 0).T
    found = paired_difference(a, b, c, d, Z)
    truth = (cells[1] - cells[2]) / cells.sum()
    assert np.mean((found.low <= truth) & (truth <= found.high)) > 0.935


@pytest.mark.parametrize(
    "rates",
    [
        [0.95] * 4,
        [0.97] * 7,
        [0.999] * 7,
        [0.97, 0.97, 0.97, 0.92],
        [0.99, 0.85],
        [0.9, 0.92, 0.94, 0.96, 0.98, 0.99, 1.0],
    ],
)
@pytest.mark.parametrize("faces", [100, 700])
def test_the_gaps_interval_holds_the_true_gap_at_both_ends(rates: list[float], faces: int) -> None:
    random = np.random.default_rng(0)
    found = gap(random.binomial(faces, rates, size=(4000, len(rates))), faces, 0.95)
    truth = max(rates) - min(rates)
    assert np.mean(found.low > truth) < 0.03
    assert np.mean(found.high < truth) < 0.03
    assert np.all(found.low <= found.value)
    assert np.all(found.value <= found.high)


def test_a_bootstrap_of_the_gap_would_miss_that_equal_groups_are_equal() -> None:
    """Why the verdict does not use it: of a hundred fair detectors it calls at most a few fair."""
    samples = np.random.default_rng(0).binomial(200, 0.95, size=(100, 4))
    drawn = np.stack([resampled_hits(hits, np.full(4, 200), 500, seed=1) for hits in samples]) / 200
    low = np.quantile(drawn.max(-1) - drawn.min(-1), 0.025, axis=1)
    assert np.mean(low <= 0) < 0.05
    assert np.mean(gap(samples, 200, 0.95).low <= 0) > 0.95


def gap_of(groups: list[tuple[int, int]]) -> Bounds:
    """groups: (successes, trials) of each."""
    successes, trials = np.array(groups, int).reshape(-1, 2).T
    return gap(successes, trials, 0.95)


@settings(deadline=None)
@given(groups=st.lists(COUNTS, min_size=2, max_size=8), order=st.randoms(use_true_random=False))
def test_the_gap_does_not_depend_on_the_groups_order_nor_on_empty_groups(
    groups: list[tuple[int, int]], order: Random
) -> None:
    first = gap_of(groups)
    order.shuffle(groups)
    again = gap_of(groups)
    assert [float(end) for end in again] == pytest.approx([float(end) for end in first])
    with_empty = gap_of([*groups, (0, 0)])
    assert float(with_empty.value) == pytest.approx(float(first.value))
    assert with_empty.low <= first.low


@pytest.mark.parametrize("groups", [[], [(5, 5)], [(5, 5), (0, 0)]])
def test_a_gap_of_fewer_than_two_groups_is_unknown(groups: list[tuple[int, int]]) -> None:
    found = gap_of(groups)
    assert np.isnan(found.value)
    assert (float(found.low), float(found.high)) == (0, 1)

"""Rates come with the doubt of small numbers, and distances of histograms behave as distances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from components.stats import jensen_shannon_distance, wilson_interval

HISTOGRAMS = st.dictionaries(st.integers(0, 5), st.integers(0, 100)).filter(lambda counts: sum(counts.values()) > 0)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # The first is the course's 20 test faces; the others are R's prop.test(correct=FALSE).
    [(5, 5, 0.5655, 1.0), (0, 10, 0.0, 0.2775), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_the_wilson_interval_is_the_textbooks(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=2e-4)


@given(trials=st.integers(1, 10_000), share=st.floats(0, 1))
def test_the_interval_holds_the_rate_and_stays_a_rate(trials: int, share: float) -> None:
    successes = round(share * trials)
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials + 1e-9
    assert successes / trials - 1e-9 <= high <= 1


@given(first=HISTOGRAMS, second=HISTOGRAMS)
def test_the_distance_is_scipys_and_symmetric(first: dict[int, int], second: dict[int, int]) -> None:
    p, q = (np.array([counts.get(value, 0) for value in range(6)], dtype=float) for counts in (first, second))
    distance = jensen_shannon_distance(first, second)
    assert distance == pytest.approx(float(jensenshannon(p, q, base=2)), abs=1e-6)
    assert distance == pytest.approx(jensen_shannon_distance(second, first), abs=1e-9)


def test_equal_shapes_are_no_distance_and_strangers_are_one() -> None:
    assert jensen_shannon_distance({"a": 1, "b": 3}, {"a": 10, "b": 30}) == pytest.approx(0, abs=1e-6)
    assert jensen_shannon_distance({"a": 1}, {"b": 7}) == pytest.approx(1)
    assert jensen_shannon_distance({}, {"a": 1}) == 1
    assert jensen_shannon_distance({}, {}) == 0

"""Rates come with the doubt of small numbers; ranking, probabilities and distances are what the libraries say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import expit
from scipy.special import softmax as scipy_softmax
from sklearn.metrics import roc_auc_score

from components.stats import (
    jensen_shannon_distance,
    paired_difference_interval,
    rate_above,
    roc_auc,
    sigmoid,
    softmax,
    threshold_at,
    wilson,
    wilson_interval,
)

HISTOGRAMS = st.dictionaries(st.integers(0, 5), st.integers(0, 100)).filter(lambda counts: sum(counts.values()) > 0)
SCORES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=60).map(np.array)
COUNTS = st.integers(1, 2000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # The first is the course's 20 test faces; the others are R's prop.test(correct=FALSE).
    [(5, 5, 0.5655, 1.0), (0, 10, 0.0, 0.2775), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_the_wilson_interval_is_the_textbooks(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=2e-4)


@given(counts=COUNTS)
def test_the_interval_holds_the_rate_and_stays_a_rate(counts: tuple[int, int]) -> None:
    found = wilson(*counts, 1.96)
    assert found.value == counts[0] / counts[1]
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert (float(found.low), float(found.high)) == wilson_interval(*counts)


def test_the_interval_of_a_paired_difference_is_the_textbooks() -> None:
    """Approval of a prime minister, asked twice of 1,600 people (Agresti, Categorical Data Analysis): 0.02 to 0.06."""
    assert paired_difference_interval(150, 86, 1600) == pytest.approx((0.0213, 0.0587), abs=2e-4)
    low, high = paired_difference_interval(86, 150, 1600)
    assert (-high, -low) == pytest.approx(paired_difference_interval(150, 86, 1600))


@pytest.mark.parametrize(("only_first", "only_second", "pairs"), [(0.1, 0.06, 400), (0.1, 0.1, 60), (0.2, 0.1, 30)])
def test_19_of_20_intervals_hold_the_difference(only_first: float, only_second: float, pairs: int) -> None:
    drawn = np.random.default_rng(1).multinomial(pairs, (only_first, only_second, 1 - only_first - only_second), 4000)
    ends = np.array([paired_difference_interval(int(first), int(second), pairs) for first, second, _ in drawn])
    held = (ends[:, 0] <= only_first - only_second) & (only_first - only_second <= ends[:, 1])
    assert held.mean() == pytest.approx(0.95, abs=0.02)


def test_nothing_tried_is_known_not_to_be_known() -> None:
    found = wilson([0, 5], [0, 5], 1.96)
    assert np.isnan(found.value[0])
    assert (found.low[0], found.high[0]) == (0, 1)
    assert (found.value[1], found.high[1]) == (1, 1)


@given(negatives=SCORES, rate=st.floats(0.001, 0.999))
def test_the_threshold_lets_no_more_negatives_pass_and_a_lower_one_would(negatives: np.ndarray, rate: float) -> None:
    threshold = threshold_at(negatives, rate)
    assert rate_above(negatives, threshold) <= rate + 1e-12
    assert np.mean(negatives >= threshold) > rate


@pytest.mark.parametrize("allowed", [7, 29, 58])
def test_a_share_that_rounds_down_lets_its_whole_number_pass(allowed: int) -> None:
    negatives = np.arange(100.0)
    assert rate_above(negatives, threshold_at(negatives, allowed / 100)) == allowed / 100


def test_a_threshold_needs_negatives_and_a_rate_needs_scores() -> None:
    with pytest.raises(ValueError, match="needs negatives"):
        threshold_at(np.array([]), 0.01)
    assert np.isnan(rate_above(np.array([]), 0.0))


@given(positives=SCORES, negatives=SCORES)
def test_the_auc_is_scikit_learns_with_ties(positives: np.ndarray, negatives: np.ndarray) -> None:
    truth = np.arange(len(positives) + len(negatives)) < len(positives)
    expected = roc_auc_score(truth, np.concatenate([positives, negatives]))
    assert roc_auc(positives, negatives) == pytest.approx(expected)
    assert np.isnan(roc_auc(positives, negatives[:0]))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_probabilities_are_scipys_keep_their_precision_and_do_not_overflow(kind: type[np.floating]) -> None:
    logits = np.linspace(-60, 60, 101).astype(kind)
    assert sigmoid(logits).dtype == kind
    assert np.allclose(sigmoid(logits), expit(logits), rtol=1e-6, atol=0)
    with np.errstate(over="raise", invalid="raise"):
        assert sigmoid(np.array([-800.0, 0.0, 800.0], kind)).tolist() == [0, 0.5, 1]


@given(scale=st.floats(0, 1e5))
def test_probabilities_of_classes_are_scipys_for_any_logits(scale: float) -> None:
    logits = np.random.default_rng(0).standard_normal((6, 10)).astype(np.float32) * np.float32(scale)
    assert np.allclose(softmax(logits), scipy_softmax(logits.astype(np.float64), axis=1))
    assert np.allclose(softmax(logits).sum(axis=1), 1)


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

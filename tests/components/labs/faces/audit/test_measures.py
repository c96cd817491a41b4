"""Ranking, calibration and inequality are what the libraries and papers say they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from components.labs.faces.audit.measures import (
    brier_score,
    calibration_error,
    disparities,
    roc_auc_bounds,
)

SCORES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=60).map(np.array)


@settings(deadline=None)
@given(positives=SCORES, negatives=SCORES)
def test_the_auc_is_scikit_learns_with_ties(positives: np.ndarray, negatives: np.ndarray) -> None:
    photographs = np.arange(len(negatives)) // 3
    found = roc_auc_bounds(positives, negatives, photographs, 0.95)
    truth = np.arange(len(positives) + len(negatives)) < len(positives)
    assert float(found.value) == pytest.approx(roc_auc_score(truth, np.concatenate([positives, negatives])))
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize("alike", [0.0, 0.9])
def test_the_aucs_interval_holds_the_truth_with_crops_that_are_alike(alike: float) -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        own, shared = random.normal(size=600), np.repeat(random.normal(size=100), 6)
        negatives = np.sqrt(1 - alike) * own + np.sqrt(alike) * shared
        found = roc_auc_bounds(random.normal(2, 1, 400), negatives, np.repeat(np.arange(100), 6), 0.95)
        held += bool(found.low <= 0.92135 <= found.high)  # the normal distribution at 2 / sqrt(2)
    assert 0.91 < held / 300 <= 0.99


def test_a_perfect_ranking_of_few_faces_is_not_sure() -> None:
    found = roc_auc_bounds(np.ones(5), np.zeros(100), np.arange(100), 0.95)
    assert found.value == 1
    assert found.low == pytest.approx(0.5655, abs=1e-3)
    assert np.isnan(roc_auc_bounds(np.ones(0), np.zeros(3), np.arange(3), 0.95).value)


def test_calibration_is_scikit_learns_and_knows_a_liar() -> None:
    random = np.random.default_rng(0)
    honest = random.random(20_000)
    truth = random.random(20_000) < honest
    weights = np.ones(20_000)
    assert brier_score(honest, truth, weights) == pytest.approx(brier_score_loss(truth, honest))
    assert calibration_error(honest, truth, weights, 15) < 0.02
    assert calibration_error(np.sqrt(honest), truth, weights, 15) > 0.1
    assert calibration_error(np.array([1.0, 0.0]), np.array([True, False]), np.ones(2), 15) == 0


def test_a_weight_counts_as_that_many_items() -> None:
    probabilities, truth = np.array([0.9, 0.2, 0.7]), np.array([True, False, False])
    twice = np.array([0, 1, 1, 2, 2])
    weighted = calibration_error(probabilities, truth, np.array([1.0, 2, 2]), 5)
    assert weighted == pytest.approx(calibration_error(probabilities[twice], truth[twice], np.ones(5), 5))


def test_equal_groups_are_not_unequal_and_the_papers_variance_is_found() -> None:
    equal = disparities(np.array([90, 90]), np.array([100, 100]))
    assert {name: float(value) for name, value in equal.items()} == pytest.approx(
        {"gap": 0, "ratio": 1, "variance": 0, "max_to_geometric_mean": 1}
    )
    unequal = disparities(np.array([[100, 80], [99, 99]]), np.array([100, 100]))
    assert unequal["gap"].tolist() == pytest.approx([0.2, 0])
    assert unequal["ratio"].tolist() == pytest.approx([0.8, 1])
    assert unequal["variance"].tolist() == pytest.approx([100, 0])
    assert np.all(np.isfinite(unequal["max_to_geometric_mean"]))
    assert unequal["max_to_geometric_mean"][0] > 5

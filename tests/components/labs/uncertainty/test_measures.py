"""Scores of predictive distributions, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from components.labs.uncertainty.evaluation import measures
from components.labs.uncertainty.evaluation.published import PUBLISHED, better_than
from components.labs.uncertainty.runtime.mixture import Mixture, negative_log_likelihood

LEVELS = np.linspace(0.025, 0.975, 39)


def test_the_likelihood_of_a_mixture_is_the_mean_of_its_components() -> None:
    draw = np.random.default_rng(0)
    mixture = Mixture(draw.normal(size=(30, 4)), draw.uniform(0.5, 2, (30, 4)), draw.uniform(3, 30, (30, 4)))
    target = draw.normal(size=30)
    density = stats.t.pdf(target[:, None], mixture.freedom, mixture.location, mixture.scale).mean(axis=1)
    assert np.allclose(negative_log_likelihood(mixture, target), -np.log(density))


def test_a_gaussian_is_a_students_t_of_a_million_degrees_of_freedom() -> None:
    mixture = Mixture(np.zeros((1, 1)), np.ones((1, 1)), np.full((1, 1), 1e6))
    found = negative_log_likelihood(mixture, np.array([1.5]))
    assert found[0] == pytest.approx(-stats.norm.logpdf(1.5), abs=1e-5)


def test_crps_is_that_of_a_gaussian() -> None:
    target = np.random.default_rng(0).normal(size=4000)
    quantiles = np.tile(stats.norm.ppf(LEVELS), (len(target), 1))
    # Gneiting and Raftery 2007, eq. 21; its mean over standard normal targets is 1 / sqrt(pi).
    exact = target * (2 * stats.norm.cdf(target) - 1) + 2 * stats.norm.pdf(target) - 1 / np.sqrt(np.pi)
    assert measures.crps(quantiles, LEVELS, target).mean() == pytest.approx(exact.mean(), rel=0.05)


def test_a_model_that_is_too_sure_is_miscalibrated_and_an_honest_one_is_not() -> None:
    target = np.random.default_rng(0).normal(size=20_000)
    errors = {}
    for scale in (0.5, 1.0, 2.0):
        quantiles = np.tile(stats.norm.ppf(LEVELS, scale=scale), (len(target), 1))
        errors[scale] = measures.calibration_error(measures.shares_below(quantiles, target), LEVELS)
    assert errors[1.0] < 0.01
    assert min(errors[0.5], errors[2.0]) > 0.1


def test_the_interval_of_a_difference_allows_for_splits_that_share_training_rows() -> None:
    draw = np.random.default_rng(0)
    first, second = draw.normal(1, 1, 20), draw.normal(0, 1, 20)
    found = measures.difference(first, second, test_share=1 / 9, confidence=0.95)
    naive = stats.t.interval(0.95, 19, (first - second).mean(), stats.sem(first - second))
    assert found.low < naive[0] < found.mean < naive[1] < found.high


def test_a_single_split_has_no_interval() -> None:
    found = measures.difference(np.ones(1), np.zeros(1), 0.1, 0.95)
    assert (found.mean, found.low, found.high) == (1.0, -np.inf, np.inf)


def test_published_rows_that_are_better_are_named() -> None:
    assert better_than("concrete", "rmse", 5.0) == [row for row in PUBLISHED["concrete"] if "Gal" in row]
    assert better_than("concrete", "rmse", 4.0) == []
    assert better_than("diabetes", "rmse", 1e9) == []

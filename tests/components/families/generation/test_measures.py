"""The measures say what is wrong with a generator whose fault is known."""

from __future__ import annotations

import numpy as np
import pytest

from components.families.generation.evaluation.measures import (
    coverage,
    evenly,
    flat,
    frechet_distance,
    independent_pixels,
    nearest,
)


def modes(count: int, which: tuple[int, ...], seed: int, spread: float = 0.1) -> np.ndarray:
    """Points around corners of a cube, far from each other."""
    draw = np.random.default_rng(seed)
    corners = 10 * ((np.array(which)[:, None] >> np.arange(3)) & 1)
    return corners[draw.integers(len(which), size=count)] + spread * draw.normal(size=(count, 3))


def test_the_distance_of_two_normal_distributions_is_the_formulas() -> None:
    draw = np.random.default_rng(1)
    first = draw.normal(size=(200_000, 2)) * [1.0, 3.0] + [0.0, 1.0]
    second = draw.normal(size=(200_000, 2)) * [2.0, 1.0] + [3.0, 1.0]
    # Diagonal covariances: |m1 - m2|^2 plus the squared differences of the standard deviations.
    assert frechet_distance(first, second) == pytest.approx(9 + 1 + 4, rel=0.02)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_features_that_are_always_off_do_no_harm() -> None:
    """A classifier's features after ReLU: some are 0 for every picture, and the covariance is singular."""
    first = np.abs(np.random.default_rng(2).normal(size=(500, 6)))
    first[:, 4:] = 0
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first, first + np.eye(6)[0]) == pytest.approx(1, abs=1e-6)


def test_a_generator_that_drops_modes_keeps_its_precision_and_loses_recall() -> None:
    real = modes(800, (0, 1, 2, 3), seed=0)
    assert min(coverage(real, modes(800, (0, 1, 2, 3), seed=1), neighbours=3)) > 0.8
    dropping = coverage(real, modes(800, (0,), seed=1), neighbours=3)
    assert dropping.precision > 0.8
    assert dropping.recall < 0.35


def test_a_generator_that_makes_nonsense_too_loses_precision_and_keeps_its_recall() -> None:
    real, made = modes(800, (0, 1), seed=0), modes(1600, (0, 1, 6, 7), seed=1)
    found = coverage(real, made, neighbours=3)
    assert found.precision < 0.6
    assert found.recall > 0.8


def test_the_nearest_training_picture_of_a_copy_is_its_original() -> None:
    draw = np.random.default_rng(0)
    train = flat(draw.integers(256, size=(1200, 6, 6, 1), dtype=np.uint8))
    rows, distances = nearest(train[[700, 3]] + np.float32(1), train)
    assert rows.tolist() == [700, 3]
    assert distances == pytest.approx([1, 1], abs=0.1)


def test_independent_pixels_are_as_bright_as_real_ones_and_hang_together_in_nothing() -> None:
    draw = np.random.default_rng(0)
    brightness = draw.integers(256, size=(2000, 1, 1, 1))
    real = np.broadcast_to(brightness, (2000, 4, 4, 1)).astype(np.uint8)
    made = independent_pixels(real, 3000, seed=1)
    assert made.shape == (3000, 4, 4, 1)
    assert np.abs(made.mean(axis=0) - real.mean(axis=0)).max() < 6
    assert np.corrcoef(real[:, 0, 0, 0], real[:, 3, 3, 0])[0, 1] > 0.99
    assert abs(np.corrcoef(made[:, 0, 0, 0], made[:, 3, 3, 0])[0, 1]) < 0.1


def test_rows_are_taken_evenly_and_all_where_there_are_no_more() -> None:
    assert evenly(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly(3, 5).tolist() == [0, 1, 2]

"""Distances between sets of generated and of real pictures. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

BLOCK = 500
"""Rows whose distances are held at once."""
Certain = Callable[[np.ndarray], np.ndarray]
"""From images (N, H, W, C) uint8 to (N,) bool: those that a classifier reads with certainty."""


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared distance of two sets of features (N, d), (M, d), each taken for a normal distribution; 0 for equal ones.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Dowson and Landau 1982; Heusel et al. 2017, "GANs trained by a two
    time-scale update rule", with Inception's features). It is biased upwards for small sets.
    """
    means = [features.mean(axis=0) for features in (first, second)]
    covariances = [np.atleast_2d(np.cov(features, rowvar=False)) for features in (first, second)]
    # tr (C1 C2)^(1/2) from the symmetric C1^(1/2) C2 C1^(1/2), which has the same eigenvalues, all real.
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariances[1] @ root), 0)).sum()
    apart = ((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * shared
    return float(max(0.0, apart))


class Coverage(NamedTuple):
    """precision: share of generated pictures among real ones.  recall: share of real pictures among generated ones."""

    precision: float
    recall: float


def coverage(real: np.ndarray, made: np.ndarray, neighbours: int) -> Coverage:
    """Precision and recall of generated features (M, d) against real ones (N, d).

    A set's manifold is a ball around each of its members that reaches to its k-th nearest neighbour in the set
    (Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models", k = 3).
    """
    return Coverage(
        precision=float(_within(made, real, _radii(real, neighbours)).mean()),
        recall=float(_within(real, made, _radii(made, neighbours)).mean()),
    )


def nearest(pictures: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row in `among` (M, d) nearest to each of pictures (N, d), and its root-mean-square distance, (N,) each."""
    rows, distances = [], []
    for block in _blocks(pictures):
        squares = _squares(block, among)
        rows.append(squares.argmin(axis=1))
        distances.append(np.sqrt(np.maximum(squares.min(axis=1), 0) / among.shape[1]))
    return np.concatenate(rows), np.concatenate(distances)


class Pairs(NamedTuple):
    """Pictures and the training picture nearest to each, (N, H, W, C) uint8, and their distances (N,) as `nearest`."""

    pictures: np.ndarray
    neighbours: np.ndarray
    distances: np.ndarray


def pairs(images: np.ndarray, train: np.ndarray, shown: int) -> Pairs:
    """The `shown` images of (N, H, W, C) that are nearest to a training picture, then the first `shown`."""
    rows, distances = nearest(flat(images), flat(train))
    chosen = np.concatenate([np.argsort(distances, kind="stable")[:shown], np.arange(min(shown, len(images)))])
    return Pairs(images[chosen], train[rows[chosen]], distances[chosen])


def flat(images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, C) uint8 as (N, d) float32; those of more than 32 pixels a side reduced to half."""
    if images.shape[1] > 32:
        count, height, width, channels = images.shape
        images = images.reshape(count, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4), dtype=np.float32)
    return images.reshape(len(images), -1).astype(np.float32)


def independent_pixels(images: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Pictures (count, H, W, C) uint8 each of whose pixels comes from a random one of images (N, H, W, C).

    They have the distribution of each pixel and nothing else: the baseline for bad pictures.
    """
    draw = np.random.RandomState(seed)
    pixels = images.reshape(len(images), -1, images.shape[-1])
    made = np.stack([pixels[draw.randint(len(images), size=count), place] for place in range(pixels.shape[1])], axis=1)
    return made.reshape(count, *images.shape[1:])


def evenly(count: int, wanted: int) -> np.ndarray:
    """Rows of `wanted` of `count` items, evenly spaced; all of them where there are no more."""
    chosen: np.ndarray = np.arange(min(count, wanted)) * count // min(count, wanted)
    return chosen


def _radii(members: np.ndarray, neighbours: int) -> np.ndarray:
    """Squared distance of each member to its k-th nearest other one."""
    reach = min(neighbours, len(members) - 1)
    return np.concatenate(
        [np.partition(_squares(block, members), reach, axis=1)[:, reach] for block in _blocks(members)]
    )


def _within(points: np.ndarray, members: np.ndarray, radii: np.ndarray) -> np.ndarray:
    return np.concatenate([(_squares(block, members) <= radii).any(axis=1) for block in _blocks(points)])


def _squares(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    squares: np.ndarray = (first**2).sum(axis=1)[:, None] - 2 * first @ second.T + (second**2).sum(axis=1)
    return squares


def _blocks(items: np.ndarray) -> list[np.ndarray]:
    return [items[first : first + BLOCK] for first in range(0, len(items), BLOCK)]

"""What is counted of digits, to see whether those that are asked about are like those that were measured."""

from __future__ import annotations

import numpy as np

from components.drift import PICTURE_SIDE, Reference, numbers, picture_sides

INK, PROBABILITY, DISTANCE = "ink", "probability", "distance"


def features(
    images: np.ndarray, probabilities: np.ndarray, distances: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Each feature (N,) of images (N, 28, 28) uint8, 0 paper to 255 ink, framed as MNIST's are.

    probabilities: (N,) of the digits that were read.  distances: (N,) from the training digits; None where the bundle
    does not measure them.
    """
    found = {
        INK: images.mean(axis=(1, 2)) / 255,
        # Most are nearly 1: rounded, they fall into the same bin whatever the order of the sums was.
        PROBABILITY: np.round(probabilities, 3),
    }
    return found if distances is None else {**found, DISTANCE: np.asarray(distances)}


def references(images: np.ndarray, probabilities: np.ndarray, distances: np.ndarray) -> dict[str, Reference]:
    """What requests are compared with: digits that the model has not learned from, and what it says of them."""
    found = features(images, probabilities, distances)
    return {
        INK: numbers(found[INK], "mean ink of the framed digit, 0 to 1"),
        PROBABILITY: numbers(found[PROBABILITY], "probability of the digit that is read"),
        DISTANCE: numbers(found[DISTANCE], "distance from the nearest training digit, 0 to 1"),
        PICTURE_SIDE: picture_sides(),
    }

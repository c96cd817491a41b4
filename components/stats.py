"""Small statistics that labs share: how sure a rate is, how far apart distributions are, probabilities of logits."""

from collections.abc import Hashable, Mapping
from math import log2, sqrt
from typing import TypeVar

import numpy as np

Value = TypeVar("Value", bound=Hashable)


def wilson_interval(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Interval that holds the true rate 95 times in 100 (z = 1.96), sound for few trials and rates near 0 or 1.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference". (0, 1) if nothing was tried.
    """
    if trials == 0:
        return 0.0, 1.0
    rate, square = successes / trials, z * z / trials
    centre = (rate + square / 2) / (1 + square)
    reach = z * sqrt(rate * (1 - rate) / trials + square / (4 * trials)) / (1 + square)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def jensen_shannon_distance(first: Mapping[Value, float], second: Mapping[Value, float]) -> float:
    """Distance of two histograms, 0 (equal) to 1 (nothing in common); counts need not be normalised.

    The square root of the Jensen-Shannon divergence in bits, which is a metric (Endres and Schindelin 2003).
    An empty histogram is as far as can be from any other, and no distance from itself.
    """
    total_first, total_second = sum(first.values()), sum(second.values())
    if not total_first or not total_second:
        return float(total_first != total_second)
    divergence = 0.0
    for value in first.keys() | second.keys():
        p, q = first.get(value, 0) / total_first, second.get(value, 0) / total_second
        divergence += sum(x * log2(2 * x / (p + q)) / 2 for x in (p, q) if x)
    return sqrt(max(0.0, divergence))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities, in the shape and type of the logits, without overflow."""
    small = np.exp(-np.abs(logits))
    probabilities: np.ndarray = np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(logits.dtype)
    return probabilities


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (N, K) float64 of logits (N, K), without overflow: the largest is taken off first."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    normalised: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return normalised

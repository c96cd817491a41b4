"""Mathematics that labs share: rates and intervals, ranking, probabilities, distances, interpolation. No torch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import log2, sqrt
from statistics import NormalDist
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Value = TypeVar("Value", bound=Hashable)
Float = TypeVar("Float", bound=np.floating)
Floats = NDArray[np.float64]


class Bounds(NamedTuple):
    """Estimates with the ends of their intervals, arrays of one shape."""

    value: Floats
    low: Floats
    high: Floats


def normal_quantile(tail: float) -> float:
    """How many standard deviations leave `tail` (0 to 1/2) of a normal distribution above them."""
    return NormalDist().inv_cdf(1 - tail)


def wilson(successes: ArrayLike, trials: ArrayLike, z: float) -> Bounds:
    """Rates and their Wilson intervals; where nothing was tried the value is nan, in (0, 1).

    Wilson 1927, "Probable inference, the law of succession, and statistical inference": sound for few trials and for
    rates near 0 or 1, where +- 2 standard errors is not (Brown, Cai and DasGupta 2001).
    """
    successes, trials = np.broadcast_arrays(np.asarray(successes, float), np.asarray(trials, float))
    tried = trials > 0
    n = np.where(tried, trials, 1.0)
    rate, square = successes / n, z * z / n
    centre = (rate + square / 2) / (1 + square)
    reach = z * np.sqrt(rate * (1 - rate) / n + square / (4 * n)) / (1 + square)
    # At 0 and 1 the end is the rate itself, which rounding would miss by 1e-17 to either side.
    low = np.where(successes <= 0, 0.0, np.clip(centre - reach, 0, rate))
    high = np.where(successes >= n, 1.0, np.clip(centre + reach, rate, 1))
    return Bounds(np.where(tried, rate, np.nan), np.where(tried, low, 0.0), np.where(tried, high, 1.0))


def wilson_interval(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Ends of the Wilson interval of one rate; it holds the true rate 95 times in 100 (z = 1.96)."""
    bounds = wilson(successes, trials, z)
    return float(bounds.low), float(bounds.high)


def paired_difference_interval(only_first: int, only_second: int, pairs: int, z: float = 1.96) -> tuple[float, float]:
    """Ends of the interval of the first rate less the second, both of the same pairs (95 times in 100 at z = 1.96).

    only_first, only_second: pairs of which one member alone succeeded. Half a pair is added to each of the four cells
    (Agresti and Min 2005), because without that the interval is empty where the two never differ.
    """
    first, second, n = only_first + 0.5, only_second + 0.5, pairs + 2
    centre = (first - second) / n
    reach = z * sqrt((first + second) / n - centre**2) / sqrt(n)
    return centre - reach, centre + reach


def rate_above(scores: NDArray[np.floating], threshold: float) -> float:
    """Share of scores above the threshold: recall of positives, false-positive rate of negatives. NaN of none."""
    return float((scores > threshold).mean()) if len(scores) else float("nan")


def threshold_at(negatives: NDArray[np.floating], false_positive_rate: float) -> float:
    """The lowest threshold that at most this share of the negatives' scores exceeds.

    Raises ValueError where there are no negatives.
    """
    if not len(negatives):
        raise ValueError("a threshold at a false-positive rate needs negatives")
    allowed = int(false_positive_rate * len(negatives) + 1e-9)  # .07 * 100 is 7.000000000000001
    # The highest score that must not pass. Quantised models tie often: what ties with it does not pass either.
    return float(np.sort(negatives)[::-1][min(allowed, len(negatives) - 1)])


def placements(positives: NDArray[np.floating], negatives: NDArray[np.floating]) -> Floats:
    """For each positive, the share of negatives that score lower, a tie counting half; their mean is the ROC AUC."""
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left") + np.searchsorted(ordered, positives, "right")
    return np.asarray(below / (2 * len(ordered)), float)


def roc_auc(positives: NDArray[np.floating], negatives: NDArray[np.floating]) -> float:
    """Probability that a positive outscores a negative, ties counted half (Mann and Whitney 1947). NaN of none."""
    return float(placements(positives, negatives).mean()) if len(positives) and len(negatives) else float("nan")


def sigmoid(logits: NDArray[Float]) -> NDArray[Float]:
    """Probabilities of logits, in the logits' precision and without overflow."""
    tail = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, tail) / (1 + tail))


def softmax(logits: NDArray[np.floating]) -> Floats:
    """Probabilities (N, K) float64 of logits (N, K); the largest is subtracted first, so that none overflows."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def jensen_shannon_distance(first: Mapping[Value, float], second: Mapping[Value, float]) -> float:
    """Distance of two histograms, 0 (equal) to 1 (nothing in common); counts need not be normalised.

    The square root of the Jensen-Shannon divergence in bits, which is a metric (Endres and Schindelin 2003).
    An empty histogram has distance 1 from any other and 0 from itself.
    """
    total_first, total_second = sum(first.values()), sum(second.values())
    if not total_first or not total_second:
        return float(total_first != total_second)
    divergence = 0.0
    for value in first.keys() | second.keys():
        p, q = first.get(value, 0) / total_first, second.get(value, 0) / total_second
        divergence += sum(x * log2(2 * x / (p + q)) / 2 for x in (p, q) if x)
    return sqrt(max(0.0, divergence))


def great_circle(first: NDArray[np.floating], last: NDArray[np.floating], count: int) -> NDArray[np.float32]:
    """`count` points (count, d) float32 from first to last (d,) along the great circle.

    White 2016, "Sampling generative networks": a straight line would pass nearer to zero than normal draws ever lie.
    """
    share = np.linspace(0, 1, count)[:, None]
    cosine = first @ last / (np.linalg.norm(first) * np.linalg.norm(last))
    angle = float(np.arccos(np.clip(cosine, -1, 1)))
    if np.sin(angle) < 1e-4:
        way = first + share * (last - first)
    else:
        way = (np.sin((1 - share) * angle) * first + np.sin(share * angle) * last) / np.sin(angle)
    return np.asarray(way, np.float32)

"""How good a predictive distribution is: proper scores, calibration, and differences with intervals."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats


def pinball(quantiles: np.ndarray, levels: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N, Q) loss of each quantile (Koenker and Bassett 1978)."""
    over = target[:, None] - quantiles
    found: np.ndarray = np.maximum(levels * over, (levels - 1) * over)
    return found


def crps(quantiles: np.ndarray, levels: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N,) continuous ranked probability score, in the target's unit: twice the pinball loss, over evenly spaced
    levels (Gneiting and Ranjan 2011)."""
    found: np.ndarray = 2 * pinball(quantiles, levels, target).mean(axis=1)
    return found


def shares_below(quantiles: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(Q,) share of rows at or below each predicted quantile (N, Q): the level itself, where calibrated."""
    found: np.ndarray = (target[:, None] <= quantiles).mean(axis=0)
    return found


def calibration_error(shares: np.ndarray, levels: np.ndarray) -> float:
    """Mean distance of the shares from the levels (Kuleshov et al. 2018, without the square)."""
    return float(np.abs(shares - levels).mean())


class Difference(NamedTuple):
    """Mean of paired differences over splits, and its interval."""

    mean: float
    low: float
    high: float


def difference(first: np.ndarray, second: np.ndarray, test_share: float, confidence: float) -> Difference:
    """first - second, of each split (S,). test_share: test rows over training rows.

    Splits share most of their training rows, so that their differences are not independent: the variance is that of
    Nadeau and Bengio 2003, 1 / S + test_share times the sample's.
    """
    differences = first - second
    count = len(differences)
    mean = float(differences.mean())
    if count < 2:
        return Difference(mean, -math.inf, math.inf)
    reach = stats.t.ppf((1 + confidence) / 2, count - 1) * math.sqrt(
        (1 / count + test_share) * float(differences.var(ddof=1))
    )
    return Difference(mean, mean - reach, mean + reach)

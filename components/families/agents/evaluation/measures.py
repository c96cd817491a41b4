"""Figures of many episodes' returns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Returns = NDArray[np.float64]


def summary(returns: Returns, solved: float) -> dict[str, float]:
    """Measures the returns of episodes (N,). solved: return from which an episode counts as solved."""
    return {
        "mean_return": float(returns.mean()),
        "median_return": float(np.median(returns)),
        "min_return": float(returns.min()),
        "solved_share": float((returns >= solved).mean()),
    }


def bootstrap_interval(returns: Returns, resamples: int, seed: int) -> tuple[float, float]:
    """Ends of the 95 % percentile interval of the mean (Efron 1979), from resampled episodes."""
    draw = np.random.RandomState(seed)
    means = returns[draw.randint(len(returns), size=(resamples, len(returns)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)

"""Intervals of differences of rates and of gaps, over arrays: the simulated audits need a million at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from components.stats import Bounds, Floats, normal_quantile, wilson


def difference(first: tuple[ArrayLike, ArrayLike], second: tuple[ArrayLike, ArrayLike], z: float) -> Bounds:
    """Rate of the first group less the second's, of independent groups given as (successes, trials).

    Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10: it joins the
    two Wilson intervals, so it is not (0, 0) when both groups are all found, as a bootstrap's would be.
    """
    one, two = wilson(*first, z), wilson(*second, z)
    value = one.value - two.value
    low = value - np.hypot(one.value - one.low, two.high - two.value)
    high = value + np.hypot(one.high - one.value, two.value - two.low)
    return Bounds(value, low, high)


def paired_difference(both: ArrayLike, first: ArrayLike, second: ArrayLike, neither: ArrayLike, z: float) -> Bounds:
    """Rate of the first detector less the second's on the same faces, from how many `both` found, only the `first`, ...

    Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on paired
    data", method 10: as `difference`, less what the detectors have in common.
    """
    a, b, c, d = np.broadcast_arrays(*(np.asarray(count, float) for count in (both, first, second, neither)))
    n = a + b + c + d
    one, two = wilson(a + b, n, z), wilson(a + c, n, z)
    product = a * d - b * c
    product = np.where(product > 0, np.maximum(product - n / 2, 0), product)  # his continuity correction
    margins = np.sqrt((a + b) * (c + d) * (a + c) * (b + d))
    phi = np.divide(product, margins, out=np.zeros_like(margins), where=margins > 0)
    value = one.value - two.value

    def reach(of_one: Floats, of_two: Floats) -> Floats:
        return np.asarray(np.sqrt(np.maximum(of_one**2 - 2 * phi * of_one * of_two + of_two**2, 0)), float)

    low = value - reach(one.value - one.low, two.high - two.value)
    high = value + reach(one.high - one.value, two.value - two.low)
    return Bounds(value, low, high)


def gap(successes: ArrayLike, trials: ArrayLike, confidence: float) -> Bounds:
    """Largest less smallest rate over groups (the last axis), with an interval for the true gap.

    A bootstrap of max - min is off upwards: it adds the noise of the resample to the noise of the sample, and the
    maximum takes both. Here instead, from pairs of groups, so that each end errs at most (1 - confidence) / 2:
    high is the largest upper end of any pair's difference, each at its own level (to say that all groups are close,
    every pair must be shown to be; Berger 1982, intersection-union tests); low is the largest lower end with
    Bonferroni's correction for looking at every pair both ways. Groups without trials are left out; of fewer than two
    groups the gap is nan in (0, 1).
    """
    successes, trials = np.broadcast_arrays(np.asarray(successes, float), np.asarray(trials, float))
    groups = successes.shape[-1]
    tail = (1 - confidence) / 2
    pair = [(array[..., :, None], array[..., None, :]) for array in (successes, trials)]
    first, second = (pair[0][0], pair[1][0]), (pair[0][1], pair[1][1])
    use = (first[1] > 0) & (second[1] > 0) & ~np.eye(groups, dtype=bool)
    each = difference(first, second, normal_quantile(tail))
    all_pairs = difference(first, second, normal_quantile(tail / max(1, groups * (groups - 1))))
    axes = (-2, -1)
    some = use.any(axis=axes)

    def largest(values: Floats, otherwise: float) -> Floats:
        return np.where(some, np.max(np.where(use, values, -np.inf), axis=axes, initial=-np.inf), otherwise)

    low = np.maximum(largest(all_pairs.low, 0.0), 0.0)
    return Bounds(largest(each.value, np.nan), low, np.minimum(largest(each.high, 1.0), 1.0))

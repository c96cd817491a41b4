"""Bootstrap, permutation and corrections for multiple tests, all of it seeded."""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.labs.faces.audit.measures import Flags, calibration_bins
from components.stats import Bounds, Floats, normal_quantile, wilson

Ints = NDArray[np.int64]


def clustered_rate(
    events: ArrayLike, clusters: NDArray[np.generic], draws: int, confidence: float, seed: int
) -> Bounds:
    """Rate of `events` (a flag an item) with an interval from resampling whole clusters, scalars as 0-d arrays.

    Crops of one photograph are not independent: a striped wall gives ten false positives at once. So photographs
    are drawn with replacement, with all their crops (Davison and Hinkley 1997, section 3.8); the ends are percentiles
    over `draws`. The interval is never narrower than Wilson's for independent crops, and when nothing happened, which
    a bootstrap can only repeat, it is Wilson's for as many trials as there are clusters.
    """
    happened = np.asarray(events, bool)
    z = normal_quantile((1 - confidence) / 2)
    if not len(happened):
        return wilson(0, 0, z)
    _, of_item = np.unique(clusters, return_inverse=True)
    sizes, hits = np.bincount(of_item), np.bincount(of_item, weights=happened)
    if not happened.any():
        return wilson(0, len(sizes), z)
    drawn = cluster_weights(len(sizes), draws, seed)
    rates = (drawn @ hits) / (drawn @ sizes)
    low, high = np.quantile(rates, [(1 - confidence) / 2, (1 + confidence) / 2])
    crops = wilson(happened.sum(), len(happened), z)
    return Bounds(crops.value, np.minimum(low, crops.low), np.maximum(high, crops.high))


def clustered_calibration_error(
    probabilities: Floats,
    is_face: Flags,
    clusters: NDArray[np.generic],
    bins: int,
    draws: int,
    confidence: float,
    seed: int,
) -> Bounds:
    """Expected calibration error with an interval from resampling whole clusters, scalars as 0-d arrays.

    Chance only ever adds to it, and the resamples' chance to the sample's: the percentiles are moved back by what the
    resamples exceed the sample by.
    """
    _, of_item = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(of_item)
    place = of_item * bins + calibration_bins(probabilities, bins)
    off = np.bincount(place, probabilities - is_face, minlength=len(sizes) * bins).reshape(-1, bins)
    value = np.abs(off.sum(0)).sum() / sizes.sum()
    drawn = cluster_weights(len(sizes), draws, seed)
    resampled = np.abs(drawn @ off).sum(1) / (drawn @ sizes)
    ends = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2]) - resampled.mean() + value
    low, high = np.clip(ends, 0, 1)
    return Bounds(np.asarray(value), np.asarray(low), np.asarray(high))


def cluster_weights(clusters: int, draws: int, seed: int) -> Floats:
    """How often each cluster is drawn in each of `draws` resamples of all of them: (draws, clusters)."""
    random = np.random.default_rng(seed)
    return random.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws).astype(float)


def resampled_hits(successes: ArrayLike, trials: ArrayLike, draws: int, seed: int) -> Ints:
    """Successes of `draws` bootstrap resamples within each group: (draws, groups).

    Faces are drawn within their group, so that group sizes stay as they are (a stratified bootstrap); of faces that
    are found or not, that is a binomial count.
    """
    successes, trials = np.asarray(successes), np.asarray(trials)
    rates = np.divide(successes, trials, out=np.zeros(trials.shape), where=trials > 0)
    return np.random.default_rng(seed).binomial(trials, rates, size=(draws, *trials.shape))


def shuffled_hits(successes: ArrayLike, trials: ArrayLike, draws: int, seed: int) -> Ints:
    """Successes of each group if labels were dealt at random among the same faces: (draws, groups).

    The permutation null of "the group does not matter". Which faces are found stays, so the counts of one deal are
    multivariate hypergeometric, and no face has to be shuffled.
    """
    trials = np.asarray(trials, np.int64)
    found = int(np.sum(successes))
    if not trials.size:
        return np.zeros((draws, 0), np.int64)
    return np.random.default_rng(seed).multivariate_hypergeometric(trials, found, size=draws, method="marginals")


def p_value(null: Floats | Ints, observed: float) -> float:
    """Share of the null's draws at least as large as what was observed, itself counted (Phipson and Smyth 2010)."""
    # Ties are equal rates computed in another order: rounding must not break them.
    return float((1 + np.count_nonzero(null >= observed - 1e-12)) / (1 + len(null)))


def holm(p_values: ArrayLike) -> Floats:
    """p-values corrected for how many there are (Holm 1979): below .05 holds for all of them together."""
    values = np.asarray(p_values, float)
    order = np.argsort(values)
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def mcnemar(first: int, second: int) -> float:
    """Exact two-sided p-value that two detectors are equally good, from how many faces only one of them found.

    McNemar 1947; the discordant faces are flips of a fair coin if they are.
    """
    flips, fewer = first + second, min(first, second)
    # In integers, as 2 ** 1100 is no float.
    return min(1.0, 2 * sum(comb(flips, k) for k in range(fewer + 1)) / (1 << flips))

"""Measures of scores: ranking, calibration, and the inequality of groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from components.stats import Bounds, Floats, normal_quantile, placements, sigmoid, wilson

Flags = NDArray[np.bool_]


def roc_auc_bounds(positives: Floats, negatives: Floats, clusters: NDArray[np.generic], confidence: float) -> Bounds:
    """The ROC AUC with an interval that respects clusters, scalars as 0-d arrays.

    clusters: of each negative, its photograph. The variance is Obuchowski's (1997, "Nonparametric analysis of clustered
    ROC curve data"; DeLong et al. 1988 where every cluster is one), the interval is made on the logit scale, where it
    can't leave (0, 1). Where no negative outscores any positive there is no variance to estimate: the lower end is then
    Wilson's for as many successes as there are faces or photographs, whichever are fewer. nan in (0, 1) without either.
    """
    z = normal_quantile((1 - confidence) / 2)
    if not len(positives) or not len(negatives):
        return wilson(0, 0, z)
    of_positive, of_negative = placements(positives, negatives), 1 - placements(negatives, positives)
    auc, count = float(of_positive.mean()), len(positives)
    _, of_item = np.unique(clusters, return_inverse=True)
    sums = np.bincount(of_item, of_negative - auc)
    photographs = len(sums)
    variance = ((of_positive - auc) ** 2).sum() / (count * max(1, count - 1))
    variance += (sums**2).sum() * photographs / max(1, photographs - 1) / len(negatives) ** 2
    if not 0 < auc < 1:
        few = min(count, photographs)
        return wilson(auc * few, few, z)
    centre, reach = np.log(auc / (1 - auc)), z * np.sqrt(variance) / (auc * (1 - auc))
    low, high = sigmoid(np.array([centre - reach, centre + reach]))
    return Bounds(np.asarray(auc), np.asarray(low), np.asarray(high))


def brier_score(probabilities: Floats, is_face: Flags, weights: Floats) -> float:
    """Weighted mean squared distance of probability and truth, 0 (best) to 1 (Brier 1950)."""
    return float(np.average((probabilities - is_face) ** 2, weights=weights))


def calibration_error(probabilities: Floats, is_face: Flags, weights: Floats, bins: int) -> float:
    """Expected calibration error, 0 (best) to 1: how far bins' mean probability is from their share of faces.

    Equal-width bins, weighted by what lies in them (Naeini et al. 2015; Guo et al. 2017).
    """
    bin_of = calibration_bins(probabilities, bins)
    claimed = np.bincount(bin_of, weights * probabilities, minlength=bins)
    true = np.bincount(bin_of, weights * is_face, minlength=bins)
    return float(np.abs(claimed - true).sum() / weights.sum())


def calibration_bins(probabilities: Floats, bins: int) -> NDArray[np.int64]:
    """Which of as many equal parts of 0 to 1 each probability is in."""
    return np.minimum((probabilities * bins).astype(np.int64), bins - 1)


def disparities(successes: NDArray[np.generic], trials: NDArray[np.generic]) -> dict[str, Floats]:
    """Measures of the inequality of recall over groups (the last axis), which all have trials.

    gap: best less worst. ratio: worst over best. variance: population variance of recall in squared points, the
    paper's measure (Amini et al. 2019, table 1). max_to_geometric_mean: the largest miss rate over the geometric mean
    of miss rates (NIST IR 8429, "Summarizing demographic differentials"), where half a miss in one more face is added
    to each group, as a group that misses nobody makes the mean 0.
    """
    recall = successes.astype(float) / trials.astype(float)
    misses = (trials.astype(float) - successes.astype(float) + 0.5) / (trials.astype(float) + 1)
    best, worst = recall.max(-1), recall.min(-1)
    return {
        "gap": best - worst,
        "ratio": np.divide(worst, best, out=np.ones_like(best), where=best > 0),
        "variance": (100 * recall).var(-1),
        "max_to_geometric_mean": misses.max(-1) / np.exp(np.log(misses).mean(-1)),
    }

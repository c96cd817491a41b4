"""What a detector is judged by: recall at a false-positive rate, area under the ROC curve. No torch."""

from __future__ import annotations

import numpy as np


def threshold_at(logits: np.ndarray, is_face: np.ndarray, false_positive_rate: float) -> float:
    """The lowest threshold at which at most this share of the negatives has `logit > threshold`."""
    negatives = np.sort(logits[~is_face])[::-1]
    return float(negatives[min(int(false_positive_rate * len(negatives)), len(negatives) - 1)])


def rate_above(logits: np.ndarray, threshold: float) -> float:
    """Share of logits above the threshold: recall of faces, false-positive rate of negatives. NaN of none."""
    return float((logits > threshold).mean()) if len(logits) else float("nan")


def recall_at(logits: np.ndarray, is_face: np.ndarray, false_positive_rate: float) -> float:
    """Recall at the threshold that these same negatives give."""
    return rate_above(logits[is_face], threshold_at(logits, is_face, false_positive_rate))


def roc_auc(logits: np.ndarray, is_face: np.ndarray) -> float:
    """Probability that a face scores higher than a negative, ties counted half (Mann and Whitney 1947)."""
    faces, negatives = logits[is_face], np.sort(logits[~is_face])
    lower, upper = (np.searchsorted(negatives, faces, side=side).sum() for side in ("left", "right"))
    return float((lower + upper) / 2 / (len(faces) * len(negatives)))

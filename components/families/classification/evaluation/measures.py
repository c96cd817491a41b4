"""Accuracy, confusion and calibration of a classifier of digits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from components.datasets.digits.reader import DIGITS


class Reliability(NamedTuple):
    """Calibration by bin of confidence, without empty bins. Each array is (bins,)."""

    confidence: np.ndarray
    """Mean probability of the answers."""
    accuracy: np.ndarray
    """Share of those answers that are right: equal to the confidence in a calibrated model."""
    pictures: np.ndarray
    """Number of answers."""


class Mistake(NamedTuple):
    """A picture with a wrong answer."""

    row: int
    label: int
    answer: int
    confidence: float
    """Probability of the wrong answer."""


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share of labels (N,) that have the highest of probabilities or logits (N, 10)."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean -log of the probability of the label, nats; a probability of zero counts as the smallest float."""
    of_label = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(of_label, np.finfo(np.float64).tiny)).mean())


def confusion_matrix(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(10, 10) counts; row: the digit that it is, column: the digit that was read."""
    matrix = np.zeros((DIGITS, DIGITS), np.int64)
    np.add.at(matrix, (labels, answers), 1)
    return matrix


def recalls(matrix: np.ndarray) -> np.ndarray:
    """(10,) share of each digit that is read right; NaN for a digit that does not occur."""
    counts = matrix.sum(axis=1)
    return np.where(counts > 0, np.diag(matrix) / np.maximum(counts, 1), np.nan)


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> Reliability:
    """Answers in `bins` bins of equal width of their confidence."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(places, minlength=bins)
    full = count > 0
    sure = np.bincount(places, weights=confidence, minlength=bins)[full]
    correct = np.bincount(places, weights=right, minlength=bins)[full]
    return Reliability(sure / count[full], correct / count[full], count[full])


def calibration_error(found: Reliability) -> float:
    """Expected calibration error: mean gap of confidence and accuracy, weighted by count (Guo et al. 2017, eq. 3)."""
    return float(np.average(np.abs(found.confidence - found.accuracy), weights=found.pictures))


def worst_mistakes(probabilities: np.ndarray, labels: np.ndarray, count: int) -> list[Mistake]:
    """The mistakes with the highest confidence, the worst first; of equals the earlier row."""
    answers = probabilities.argmax(axis=1)
    rows = np.flatnonzero(answers != labels)
    sure = probabilities[rows, answers[rows]]
    order = np.argsort(-sure, kind="stable")[:count]
    return [
        Mistake(int(rows[each]), int(labels[rows[each]]), int(answers[rows[each]]), float(sure[each])) for each in order
    ]

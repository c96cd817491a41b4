"""A head for a few new categories, fitted to features by logistic regression: numpy, in milliseconds."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from components.stats import softmax

STEPS = 300
FOLDS = 5


class Head(NamedTuple):
    """weight (F, C), bias (C,) float32."""

    weight: np.ndarray
    bias: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, labels: np.ndarray, weight_decay: float) -> Self:
        """Multinomial logistic regression of labels (N,) 0 to C - 1 on features (N, F).

        Minimises cross-entropy + weight_decay * the sum of squared weights over features of mean 0 and deviation 1, by
        Nesterov's accelerated gradient descent with the step 1 / L (Nesterov 1983); L bounds the curvature. Every
        category counts alike, however many pictures it has.
        """
        mean, deviation = features.mean(0), features.std(0) + 1e-3
        scaled = np.column_stack([(features - mean) / deviation, np.ones(len(features))]).astype(np.float64)
        wanted = np.eye(labels.max() + 1)[labels]
        shares = (1 / wanted.sum(0))[labels][:, None] / wanted.shape[1]
        decay = np.append(np.full(features.shape[1], 2 * weight_decay), 0.0)[:, None]
        # The largest eigenvalue of the weighted rows' products; a softmax's curvature is at most half of it.
        curvature = 0.5 * np.linalg.norm(scaled * np.sqrt(shares), 2) ** 2 + 2 * weight_decay
        weight = ahead = np.zeros((scaled.shape[1], wanted.shape[1]))
        for step in range(STEPS):
            gradient = scaled.T @ (shares * (softmax(scaled @ ahead) - wanted)) + decay * ahead
            moved = ahead - gradient / curvature
            ahead, weight = moved + step / (step + 3) * (moved - weight), moved
        unscaled = weight[:-1] / deviation[:, None]
        return cls(unscaled.astype(np.float32), (weight[-1] - mean @ unscaled).astype(np.float32))

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """(N, C) for features (N, F)."""
        return softmax(features @ self.weight + self.bias)


def left_out_accuracy(features: np.ndarray, labels: np.ndarray, weight_decay: float) -> float | None:
    """Share of pictures that heads fitted without them find; None where a category has one picture.

    Every fifth picture of each category is left out in turn; where it has fewer than five, one at a time.
    """
    counts = np.bincount(labels)
    if counts.min() < 2:
        return None
    fold = np.empty(len(labels), int)
    for label in range(len(counts)):
        fold[labels == label] = np.arange(counts[label]) % FOLDS
    right = 0
    for number in np.unique(fold):
        out = fold == number
        head = Head.fit(features[~out], labels[~out], weight_decay)
        right += int((head.probabilities(features[out]).argmax(1) == labels[out]).sum())
    return right / len(labels)

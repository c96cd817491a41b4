"""What is learned from left-out rows after training: one scale a split, conformal widths, and the usual spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import optimize

from components.labs.uncertainty.runtime.mixture import Mixture, negative_log_likelihood
from components.labs.uncertainty.training.heads import Components
from components.labs.uncertainty.training.problems import Problem
from components.labs.uncertainty.training.stack import Stack

SCALES = (math.log(0.05), math.log(20.0))
"""Logarithms of the smallest and the largest scale that is tried."""
MOST_ROWS = 4000
"""Rows that a scale is fitted on: more do not move it."""
PERCENTILES = 101


class Calibrated(NamedTuple):
    """What was found for one set. S splits, L intervals.

    scale: (S,).  conformal: (S, L), half width of each interval in predicted standard deviations.
    spread_percentiles: (S, 101), of the member spread on left-out rows, in the target's unit.
    """

    scale: np.ndarray
    conformal: np.ndarray
    spread_percentiles: np.ndarray


class LeftOut(NamedTuple):
    """Left-out rows of one split, standardised, each predicted by the members that did not train on it.

    target: (N,). mixture, claimed: (N, C). spread: (N,), of all members' locations.
    """

    target: np.ndarray
    mixture: Mixture
    claimed: np.ndarray
    spread: np.ndarray


def calibrate(stack: Stack, problem: Problem, masks: Sequence[torch.Tensor], intervals: Sequence[float]) -> Calibrated:
    """Fits each split on its own training rows; its test rows are never read."""
    splits = range(len(problem.train) // problem.members)
    scales, widths, spreads = [], [], []
    for split in splits:
        rows = left_out(stack, problem, masks, split)
        scale = fit_scale(rows)
        scales.append(scale)
        widths.append(conformal_widths(rows, scale, intervals, stack.method))
        spreads.append(np.percentile(rows.spread, np.linspace(0, 100, PERCENTILES)) * problem.standards[3][split])
    return Calibrated(np.array(scales), np.array(widths), np.array(spreads))


def left_out(stack: Stack, problem: Problem, masks: Sequence[torch.Tensor], split: int) -> LeftOut:
    """Members with the same left-out rows are a small ensemble: calibration sees mixtures, as serving does."""
    center, spread, target_center, target_spread = (values[split] for values in problem.standards)
    numbers = range(split * problem.members, (split + 1) * problem.members)
    parts: dict[bytes, list[int]] = {}
    for network in numbers:
        parts.setdefault(problem.left_out[network].tobytes(), []).append(network)
    found = []
    for same in parts.values():
        rows = problem.left_out[same[0]]
        features = torch.from_numpy((problem.features[rows] - center) / spread).float()
        with torch.inference_mode():
            every = networks_of(stack, features, masks, list(numbers))
        chosen = [network - numbers[0] for network in same]
        location, scale, freedom, claimed = (part[chosen].flatten(0, 1).T.double().numpy() for part in every)
        freedom = np.where(np.isinf(freedom), 1e6, freedom)
        found.append(
            LeftOut(
                (problem.target[rows] - target_center) / target_spread,
                Mixture(location, scale, freedom),
                claimed,
                every.location.flatten(0, 1).std(dim=0, correction=0).double().numpy(),
            )
        )
    return LeftOut(
        np.concatenate([part.target for part in found]),
        Mixture(*(np.concatenate(parts) for parts in zip(*(part.mixture for part in found), strict=True))),
        np.concatenate([part.claimed for part in found]),
        np.concatenate([part.spread for part in found]),
    )


def networks_of(
    stack: Stack, features: torch.Tensor, masks: Sequence[torch.Tensor], numbers: Sequence[int]
) -> Components:
    """(networks, T, B) of the networks of these numbers, on the same standardised features (B, d)."""
    from components.labs.uncertainty.training.heads import components
    from components.labs.uncertainty.training.stack import networks

    chosen = torch.tensor(numbers)
    weights = [weight[chosen] for weight in stack.weights]
    biases = [bias[chosen] for bias in stack.biases]
    return components(networks(features[None, None], weights, biases, masks), stack.method, stack.min_alpha)


def fit_scale(rows: LeftOut) -> float:
    """What the components' scales are multiplied by, so that left-out rows are likeliest."""
    some = np.linspace(0, len(rows.target) - 1, min(MOST_ROWS, len(rows.target))).astype(int)
    location, scale, freedom = (part[some] for part in rows.mixture)

    def cost(logarithm: float) -> float:
        mixture = Mixture(location, scale * math.exp(logarithm), freedom)
        return float(negative_log_likelihood(mixture, rows.target[some]).mean())

    return math.exp(optimize.minimize_scalar(cost, bounds=SCALES, method="bounded").x)


def conformal_widths(rows: LeftOut, scale: float, intervals: Sequence[float], method: str) -> np.ndarray:
    """(L,) half widths in predicted standard deviations that cover the wanted share of left-out rows.

    Cross-conformal (Vovk 2015): the score is the error over the predicted standard deviation, and its quantile has
    the finite-sample rank ceil((n + 1) coverage).
    """
    location, scales, freedom = rows.mixture
    variance = (scales * scale) ** 2
    if method == "evidential":
        variance = variance * freedom / (freedom - 2) - (rows.claimed * scale) ** 2
    deviation = np.sqrt(variance.mean(axis=1) + location.var(axis=1))
    scores = np.sort(np.abs(rows.target - location.mean(axis=1)) / deviation)
    ranks = [min(len(scores), math.ceil((len(scores) + 1) * interval)) for interval in intervals]
    found: np.ndarray = scores[np.array(ranks) - 1]
    return found

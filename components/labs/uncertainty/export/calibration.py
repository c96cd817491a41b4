"""What is learned from left-out rows after training: one scale a split, conformal widths, and the usual spread.

A left-out row is predicted by the few members that did not train on it, a test row by all. The mean of more members
errs less than each of them, and their spread widens the mixture: what calibrates one or two members is too wide for
ten. Calibration therefore fits how wide mixtures of every size that left-out rows allow must be, and extends the trend
to the whole ensemble.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import optimize

from components.labs.uncertainty.runtime.mixture import Mixture, negative_log_likelihood
from components.labs.uncertainty.training.heads import Components, components
from components.labs.uncertainty.training.problems import Problem
from components.labs.uncertainty.training.stack import Stack, networks

SCALES = (math.log(0.05), math.log(20.0))
"""Logarithms of the smallest and the largest scale that is tried."""
SCALE_TOLERANCE = 1e-3
"""How near the logarithm of the best scale is found."""
MOST_ROWS = 4000
"""Rows that a scale is fitted on: more do not move it."""
AT_ONCE = 4000
"""Rows that are predicted together: more only take memory."""
PERCENTILES = 101


class Calibrated(NamedTuple):
    """What was found for one set. S splits, L intervals.

    scale: (S,), how many times as wide about its mean the mixture becomes; single: (S,), that of one member alone.
    conformal: (S, L), half width of each interval in predicted standard deviations.
    spread_percentiles: (S, 101), of the member spread on left-out rows, in the target's unit.
    """

    scale: np.ndarray
    single: np.ndarray
    conformal: np.ndarray
    spread_percentiles: np.ndarray


class LeftOut(NamedTuple):
    """Left-out rows of one split, standardised, each predicted by the K members that did not train on it.

    target: (N,). location, scale, freedom, claimed: (N, K, T), under T masks. spread: (N,), of all members' locations.
    """

    target: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    freedom: np.ndarray
    claimed: np.ndarray
    spread: np.ndarray

    def ensembles(self, size: int) -> LeftOut:
        """The same rows, predicted by ensembles of `size` of the K members, each row by K different ones in turn."""
        count = self.location.shape[1]
        chosen = [[(first + place) % count for place in range(size)] for first in range(count)]
        chosen = chosen if size < count else chosen[:1]

        def every(values: np.ndarray) -> np.ndarray:
            return np.concatenate([values[:, some] for some in chosen])

        parts = {name: every(getattr(self, name)) for name in ("location", "scale", "freedom", "claimed")}
        rows = {name: np.tile(getattr(self, name), len(chosen)) for name in ("target", "spread")}
        return self._replace(**parts, **rows)

    @property
    def mixture(self) -> Mixture:
        """(N, K T) components."""
        return Mixture(*(values.reshape(len(values), -1) for values in (self.location, self.scale, self.freedom)))


def calibrate(stack: Stack, problem: Problem, masks: Sequence[torch.Tensor], intervals: Sequence[float]) -> Calibrated:
    """Fits each split on its own training rows; its test rows are never read."""
    scales, singles, widths, spreads = [], [], [], []
    for split in range(len(problem.train) // problem.members):
        rows = left_out(stack, problem, masks, split)
        sizes = range(1, rows.location.shape[1] + 1)
        ensembles = [rows.ensembles(size) for size in sizes]
        fitted = [fit_scale(some) for some in ensembles]
        conformal = [
            conformal_widths(some, scale, intervals, stack.method)
            for some, scale in zip(ensembles, fitted, strict=True)
        ]
        scales.append(float(extended(np.array(fitted), problem.members)))
        singles.append(fitted[0])
        widths.append(extended(np.array(conformal), problem.members))
        unit = scales[-1] * problem.standards[3][split]
        spreads.append(np.percentile(rows.spread, np.linspace(0, 100, PERCENTILES)) * unit)
    return Calibrated(*map(np.array, (scales, singles, widths, spreads)))


def extended(values: np.ndarray, members: int) -> np.ndarray:
    """What positive values (K, ...) of ensembles of 1 to K members would be for `members`; of one size alone, the same.

    The variance of a mean of k is linear in 1 / k, and so is the members' expected spread. The values' logarithms are
    taken to be: squares fall below zero where members are much too sure by themselves, as those of concrete are. They
    are fitted by least squares through the value of the largest size.
    """
    logs = np.log(values)
    if len(values) == 1:
        alone: np.ndarray = values[0]
        return alone
    shares = 1 / np.arange(1, len(values) + 1)
    away = shares[:-1] - shares[-1]
    slopes = np.tensordot(away, logs[:-1] - logs[-1], axes=1) / (away**2).sum()
    found: np.ndarray = np.exp(logs[-1] + slopes * (1 / members - shares[-1]))
    return found


def left_out(stack: Stack, problem: Problem, masks: Sequence[torch.Tensor], split: int) -> LeftOut:
    """Every training row of a split; each is left out by as many members."""
    center, spread, target_center, target_spread = (values[split] for values in problem.standards)
    numbers = range(split * problem.members, (split + 1) * problem.members)
    every = np.concatenate([problem.left_out[network] for network in numbers])
    leaving = np.repeat(np.arange(problem.members), [len(problem.left_out[network]) for network in numbers])
    rows = np.unique(every)
    member = leaving[np.argsort(every, kind="stable")].reshape(len(rows), -1)
    features = torch.from_numpy((problem.features[rows] - center) / spread).float()
    with torch.inference_mode():
        parts = [networks_of(stack, some, masks, numbers) for some in torch.split(features, AT_ONCE)]
    # (members, T, N)
    location, scale, freedom, claimed = (
        torch.cat(values, dim=-1).double().numpy() for values in zip(*parts, strict=True)
    )
    places = np.arange(len(rows))[:, None]
    return LeftOut(
        (problem.target[rows] - target_center) / target_spread,
        location[member, :, places],
        scale[member, :, places],
        np.where(np.isinf(freedom), 1e6, freedom)[member, :, places],
        claimed[member, :, places],
        location.reshape(-1, len(rows)).std(axis=0),
    )


def networks_of(
    stack: Stack, features: torch.Tensor, masks: Sequence[torch.Tensor], numbers: Sequence[int]
) -> Components:
    """(networks, T, B) of the networks of these numbers, on the same standardised features (B, d)."""
    chosen = torch.tensor(numbers)
    weights = [weight[chosen] for weight in stack.weights]
    biases = [bias[chosen] for bias in stack.biases]
    return components(networks(features[None, None], weights, biases, masks), stack.method, stack.min_alpha)


def fit_scale(rows: LeftOut) -> float:
    """How many times as wide about its mean the mixture must be, so that left-out rows are likeliest."""
    some = np.linspace(0, len(rows.target) - 1, min(MOST_ROWS, len(rows.target))).astype(int)
    mixture = Mixture(*(part[some] for part in rows.mixture))

    def cost(logarithm: float) -> float:
        return float(negative_log_likelihood(mixture.widened(math.exp(logarithm)), rows.target[some]).mean())

    options = {"xatol": SCALE_TOLERANCE}
    return math.exp(optimize.minimize_scalar(cost, bounds=SCALES, method="bounded", options=options).x)


def conformal_widths(rows: LeftOut, scale: float, intervals: Sequence[float], method: str) -> np.ndarray:
    """(L,) half widths in predicted standard deviations that cover the wanted share of left-out rows.

    Cross-conformal (Vovk 2015): the score is the error over the predicted standard deviation, and its quantile has
    the finite-sample rank ceil((n + 1) coverage).
    """
    location, scales, freedom = rows.mixture
    variance = scales**2
    if method == "evidential":
        variance = variance * freedom / (freedom - 2) - rows.claimed.reshape(variance.shape) ** 2
    deviation = scale * np.sqrt(variance.mean(axis=1) + location.var(axis=1))
    scores = np.sort(np.abs(rows.target - location.mean(axis=1)) / deviation)
    ranks = [min(len(scores), math.ceil((len(scores) + 1) * interval)) for interval in intervals]
    found: np.ndarray = scores[np.array(ranks) - 1]
    return found

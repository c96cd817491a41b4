"""One set measured: every split's test rows, predicted by the networks that were not trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from components.datasets.uci.reader import Table
from components.labs.uncertainty.evaluation import measures
from components.labs.uncertainty.evaluation.measures import Difference
from components.labs.uncertainty.params import Evaluate
from components.labs.uncertainty.runtime.mixture import Mixture, negative_log_likelihood
from components.labs.uncertainty.runtime.predictor import Prediction, UncertaintyPredictor

SUREST = 0.25
"""Share of a split's test rows, those with the narrowest intervals, that count as sure."""
DECIMALS = 6
"""Levels are compared after rounding: .05 on a grid is not quite .05."""


class SetFindings(NamedTuple):
    """S splits, L intervals, Q levels.

    rmse, nll, crps, calibration_error: (S,) of each split's test rows.  single_rmse, single_nll: of the first member.
    fresh_rmse: (S,) without test rows that are copies of training rows; NaN where none is left.
    coverage, width, conformal_coverage, conformal_width: (S, L), widths are means in the target's unit.
    shares: (S, Q) of test rows below each quantile.  noise, spread: (S,) mean aleatoric and epistemic.
    sure_coverage: (S, L) coverage of those test rows alone that the model is surest of, `SUREST` of them.
    tested: test rows of all splits together.
    """

    rmse: np.ndarray
    nll: np.ndarray
    crps: np.ndarray
    calibration_error: np.ndarray
    single_rmse: np.ndarray
    single_nll: np.ndarray
    fresh_rmse: np.ndarray
    coverage: np.ndarray
    width: np.ndarray
    conformal_coverage: np.ndarray
    conformal_width: np.ndarray
    sure_coverage: np.ndarray
    shares: np.ndarray
    noise: np.ndarray
    spread: np.ndarray
    ensemble_gain_rmse: Difference
    ensemble_gain_nll: Difference
    levels: np.ndarray
    tested: int

    @property
    def pooled_calibration_error(self) -> float:
        """Measures all splits' test rows together, without the noise of small splits."""
        return measures.calibration_error(self.shares.mean(axis=0), self.levels)


def measure_set(predictor: UncertaintyPredictor, name: str, table: Table, params: Evaluate) -> SetFindings:
    """Every split of a set; a split's figures are of its own test rows alone."""
    grid = np.round(np.arange(params.level_step, 1, params.level_step), DECIMALS)
    rows = [_measure_split(predictor, name, table, split, grid, params) for split in range(len(table.test))]
    found = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    share = float(table.test.sum() / (~table.test).sum())
    return SetFindings(
        **found,
        ensemble_gain_rmse=measures.difference(found["single_rmse"], found["rmse"], share, params.confidence),
        ensemble_gain_nll=measures.difference(found["single_nll"], found["nll"], share, params.confidence),
        levels=grid,
        tested=int(table.test.sum()),
    )


def _measure_split(
    predictor: UncertaintyPredictor, name: str, table: Table, split: int, grid: np.ndarray, params: Evaluate
) -> dict[str, np.ndarray | float]:
    test = table.test[split]
    target = table.target[test]
    intervals = np.array(predictor.spec["intervals"])
    levels = np.concatenate([grid, (1 - intervals) / 2, (1 + intervals) / 2])
    found = predicted(predictor, name, table.features[test], split, levels, params.batch)
    quantiles = found.quantiles[:, : len(grid)]
    low, high = np.split(found.quantiles[:, len(grid) :], 2, axis=1)
    reach = found.deviation[:, None] * np.array(predictor.sets[name]["conformal"][split])
    error = found.mean - target
    fresh = ~table.copies[split][test]
    single = first_member(found, predictor.sets[name], split)
    shares = measures.shares_below(quantiles, target)
    covered = (low <= target[:, None]) & (target[:, None] <= high)
    surest = np.argsort((high - low).sum(axis=1), kind="stable")[: max(1, round(SUREST * len(target)))]
    return {
        "rmse": _root_mean_square(error),
        "nll": float(negative_log_likelihood(mixture(found), target).mean()),
        "crps": float(measures.crps(quantiles, grid, target).mean()),
        "calibration_error": measures.calibration_error(shares, grid),
        "single_rmse": _root_mean_square(single.location.mean(axis=1) - target),
        "single_nll": float(negative_log_likelihood(single, target).mean()),
        "fresh_rmse": _root_mean_square(error[fresh]) if fresh.any() else float("nan"),
        "coverage": covered.mean(axis=0),
        "sure_coverage": covered[surest].mean(axis=0),
        "width": (high - low).mean(axis=0),
        "conformal_coverage": (np.abs(error)[:, None] <= reach).mean(axis=0),
        "conformal_width": 2 * reach.mean(axis=0),
        "shares": shares,
        "noise": float(found.aleatoric.mean()),
        "spread": float(found.epistemic.mean()),
    }


def predicted(
    predictor: UncertaintyPredictor, name: str, features: np.ndarray, split: int, levels: np.ndarray, batch: int
) -> Prediction:
    """Rows (N, d) by a split's networks, `batch` at a time."""
    parts = [
        predictor.predict(name, features[first : first + batch], split, levels.tolist())
        for first in range(0, len(features), batch)
    ]
    return Prediction(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def first_member(found: Prediction, known: Mapping[str, Any], split: int) -> Mixture:
    """What others publish as one network: the first member alone, calibrated by itself. Its masks belong to it."""
    raw = mixture(found).widened(1 / known["calibration"][split])
    masks = raw.location.shape[1] // known["members"]
    return Mixture(*(values[:, :masks] for values in raw)).widened(known["single_calibration"][split])


def mixture(found: Prediction) -> Mixture:
    return Mixture(found.location, found.scale, found.freedom)


def _root_mean_square(error: np.ndarray) -> float:
    return float(np.sqrt((error**2).mean()))

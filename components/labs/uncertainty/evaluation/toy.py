"""The cubic: which estimate tells known ground from unknown, which one finds the noise, and what moves each of them.

Inside, training rows were seen; outside, none. An epistemic estimate must be larger outside, must shrink as rows are
added, and must not depend on the regulariser. Meinert et al. 2022 and Juergens et al. 2024 show why the evidential
one need do none of that: the likelihood fixes only a product of its parameters, and the regulariser the rest.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from components.labs.uncertainty.evaluation.sets import predicted
from components.labs.uncertainty.params import Evaluate
from components.labs.uncertainty.runtime.predictor import Prediction, UncertaintyPredictor
from components.stats import roc_auc

LEVELS = np.array([0.05, 0.5, 0.95])
"""Quantile levels of the bands that are drawn."""


class FitFindings(NamedTuple):
    """One setting of the cubic.

    claimed_auroc: of each evidential network alone, by what it claims; empty for Gaussians.
    spread_auroc: by the spread of the networks. claimed, spread, noise: means inside, in the target's unit, where the
    true noise is known.
    """

    method: str
    rows: int
    penalty: float
    claimed_auroc: tuple[float, ...]
    spread_auroc: float
    claimed: float
    spread: float
    noise: float


class ToyFindings(NamedTuple):
    """x, and the standard setting's predictions by method: what is drawn."""

    fits: tuple[FitFindings, ...]
    x: np.ndarray
    curves: dict[str, Prediction]
    true_noise: float
    inside: float

    def standard(self, method: str, spec: dict[str, Any]) -> FitFindings:
        """The setting with the paper's number of rows and regulariser."""
        return self.fits[_standard(self.fits, method, spec)]


def measure_toy(predictor: UncertaintyPredictor, params: Evaluate) -> ToyFindings:
    """Every fit of the cubic in the bundle."""
    spec = predictor.spec["toy"]
    x = np.linspace(-params.toy_range, params.toy_range, params.toy_points)
    outside = np.abs(x) > spec["inside"]
    fits: list[FitFindings] = []
    curves: dict[str, list[Prediction]] = {}
    for method in ("evidential", "gaussian"):
        for split, fit in enumerate(spec[method]):
            found = predicted(predictor, f"cubic_{method}", x[:, None], split, LEVELS, params.batch)
            curves.setdefault(method, []).append(found)
            fits.append(_measured(method, fit, found, outside))
    every = tuple(fits)
    shown = {}
    for method, predictions in curves.items():
        first = next(index for index, fit in enumerate(every) if fit.method == method)
        shown[method] = predictions[_standard(every, method, spec) - first]
    return ToyFindings(every, x, shown, spec["noise"], spec["inside"])


def _measured(method: str, fit: dict[str, Any], found: Prediction, outside: np.ndarray) -> FitFindings:
    evidential = method == "evidential"
    networks = found.claimed.T if evidential else ()
    return FitFindings(
        method=method,
        rows=fit["rows"],
        penalty=fit["penalty"],
        claimed_auroc=tuple(roc_auc(claimed[outside], claimed[~outside]) for claimed in networks),
        spread_auroc=roc_auc(found.epistemic[outside], found.epistemic[~outside]),
        claimed=float(found.claimed[~outside].mean()),
        spread=float(found.epistemic[~outside].mean()),
        noise=float(found.aleatoric[~outside].mean()),
    )


def _standard(fits: tuple[FitFindings, ...], method: str, spec: dict[str, Any]) -> int:
    """The place of a method's standard setting; its nearest number of rows, where the sweep leaves that one out."""
    penalty = spec["standard_penalty"] if method == "evidential" else 0.0
    places = [place for place, fit in enumerate(fits) if fit.method == method and fit.penalty == penalty]
    return min(places, key=lambda place: abs(fits[place].rows - spec["standard_rows"]))

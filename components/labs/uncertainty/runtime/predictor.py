"""Predicts with an exported bundle: numpy and onnxruntime, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from components.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnxruntime import InferenceSession

    from components.bundle import Bundle

OUTPUTS = ("prediction", "aleatoric", "epistemic", "quantiles", "location", "scale", "freedom", "claimed")
"""Outputs of a graph, in the order of Prediction's fields."""


class Prediction(NamedTuple):
    """N rows, Q levels, C components of the mixture; float64, in the target's unit.

    mean, aleatoric, epistemic: (N,): aleatoric is the noise that the model predicts, epistemic the spread of its
    members as calibration widened or narrowed it, both standard deviations.  quantiles: (N, Q).  location, scale,
    freedom: (N, C), of Student-t components.  claimed: (N, C), what evidential networks call epistemic; zero where the
    method is another.
    """

    mean: np.ndarray
    aleatoric: np.ndarray
    epistemic: np.ndarray
    quantiles: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    freedom: np.ndarray
    claimed: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """(N,) predicted standard deviation, noise and spread together."""
        found: np.ndarray = np.hypot(self.aleatoric, self.epistemic)
        return found


class Answer(NamedTuple):
    """What is served for N rows. low, high, conformal_low, conformal_high: (N, L), an interval for each coverage.

    percentile: (N,), of the member spread among those of rows that were left out of training.
    outside: (N, d) bool, values beyond the training rows' range. abstain: (N,) bool.
    """

    mean: np.ndarray
    aleatoric: np.ndarray
    epistemic: np.ndarray
    low: np.ndarray
    high: np.ndarray
    conformal_low: np.ndarray
    conformal_high: np.ndarray
    percentile: np.ndarray
    outside: np.ndarray
    abstain: np.ndarray


class UncertaintyPredictor:
    """The graphs of a bundle, opened when first asked for."""

    def __init__(self, spec: Mapping[str, Any], sessions: Mapping[str, InferenceSession]) -> None:
        self.spec = spec
        self._sessions = sessions

    @classmethod
    def load(cls, bundle: Bundle, threads: int = 1, names: Sequence[str] | None = None) -> Self:
        """A verified bundle's graphs: of all sets, or of the named ones (the toy's are called cubic_<method>)."""
        chosen = bundle.spec["sets"] if names is None else names
        return cls(bundle.spec, {name: bundle.session(name, threads) for name in chosen})

    @property
    def providers(self) -> list[str]:
        """What onnxruntime runs the graphs on."""
        found: list[str] = next(iter(self._sessions.values())).get_providers()
        return found

    @property
    def sets(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.spec["sets"]
        return found

    def predict(self, name: str, features: np.ndarray, split: int, levels: Sequence[float]) -> Prediction:
        """Predicts raw features (N, d) by a split's networks. Raises UserError for another shape, or no number."""
        session = self._sessions[name]
        width = session.get_inputs()[0].shape[1]
        if features.ndim != 2 or features.shape[1] != width or not np.isfinite(features).all():
            raise UserError(f"{name} is predicted from rows of {width} finite numbers, not from {features.shape}")
        inputs = {
            "features": features.astype(np.float32),
            "split": np.array([split], np.int64),
            "levels": np.array(levels, np.float32),
        }
        return Prediction(*(values.astype(np.float64) for values in session.run(list(OUTPUTS), inputs)))

    def answer(self, name: str, features: np.ndarray) -> Answer:
        """What is served, by the networks of the served split."""
        known = self.sets[name]
        split = known["served_split"]
        intervals = np.array(self.spec["intervals"])
        levels = [*((1 - intervals) / 2), *((1 + intervals) / 2)]
        found = self.predict(name, features, split, levels)
        low, high = np.split(found.quantiles, 2, axis=1)
        reach = found.deviation[:, None] * np.array(known["conformal"][split])
        edges = np.array([(feature["min"], feature["max"]) for feature in known["features"]])
        outside = (features < edges[:, 0]) | (features > edges[:, 1])
        percentile = percentiles(found.epistemic, np.array(known["spread_percentiles"]))
        return Answer(
            found.mean,
            found.aleatoric,
            found.epistemic,
            low,
            high,
            found.mean[:, None] - reach,
            found.mean[:, None] + reach,
            percentile,
            outside,
            (percentile >= self.spec["abstain_percentile"]) | outside.any(axis=1),
        )


def percentiles(values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Percentile (N,) of values among those whose percentiles 0 to 100 the table (101,) holds."""
    found: np.ndarray = np.interp(values, table, np.linspace(0, 100, len(table)))
    return found

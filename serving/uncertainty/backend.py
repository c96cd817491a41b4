"""What the uncertainty API works with, built from a bundle before the first request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.labs.uncertainty.params import Params, Serve
from components.labs.uncertainty.runtime.predictor import Answer, UncertaintyPredictor
from components.promoted import Served
from serving.core.backend import Backend
from serving.core.schemas import Info
from serving.core.worker import Worker
from serving.uncertainty import openapi
from serving.uncertainty.schemas import Estimate, Interval, Outside, Prediction, Predictions, Target, requests_of


class UncertaintyBackend(Backend):
    limits: Serve

    def __init__(self, served: Served, params: Params) -> None:
        """Loads the graphs of all sets and warms them up."""
        limits: Serve = params.serve
        self._model = UncertaintyPredictor.load(served.bundle)
        self.requests = {
            name: requests_of(name, known["features"], limits.max_rows) for name, known in self._model.sets.items()
        }
        self.worker = Worker(limits.waiting)
        info = Info.of(served, limits, self._model.providers)
        described = openapi.document(limits, served.version, self._model.sets, self.requests)
        super().__init__(served, limits, self.worker, info, described)
        for name, known in self._model.sets.items():
            self.predict(name, {feature["name"]: feature["median"] for feature in known["features"]})

    def predict(self, name: str, row: Mapping[str, float]) -> Prediction:
        """Predicts one row, {column: number}, of a set."""
        (estimate,) = self._estimates(name, [row])
        return Prediction(**dict(estimate), target=self._target(name), model=self.origin)

    def predict_rows(self, name: str, rows: Sequence[Mapping[str, float]]) -> Predictions:
        return Predictions(rows=self._estimates(name, rows), target=self._target(name), model=self.origin)

    def _estimates(self, name: str, rows: Sequence[Mapping[str, float]]) -> list[Estimate]:
        features = self._model.sets[name]["features"]
        values = np.array([[row[feature["name"]] for feature in features] for row in rows])
        found = self._model.answer(name, values)
        return [self._estimate(found, place, values[place], features) for place in range(len(rows))]

    def _estimate(
        self, found: Answer, place: int, values: np.ndarray, features: Sequence[Mapping[str, Any]]
    ) -> Estimate:
        ends = {name: getattr(found, name) for name in ("low", "high", "conformal_low", "conformal_high")}
        outside = [
            Outside(field=feature["name"], value=float(value), low=feature["min"], high=feature["max"])
            for feature, value, beyond in zip(features, values, found.outside[place], strict=True)
            if beyond
        ]
        unlike = found.percentile[place] >= self._model.spec["abstain_percentile"]
        reasons = [f"{each.field} is outside the training rows' {each.low:g} to {each.high:g}" for each in outside]
        if unlike:
            reasons.append("the members of the ensemble disagree more than on almost all rows left out of training")
        return Estimate(
            mean=float(found.mean[place]),
            intervals=[
                Interval(coverage=coverage, **{key: float(end[place, index]) for key, end in ends.items()})
                for index, coverage in enumerate(self._model.spec["intervals"])
            ],
            aleatoric=float(found.aleatoric[place]),
            epistemic=float(found.epistemic[place]),
            ood_percentile=float(found.percentile[place]),
            outside=outside,
            abstain=bool(found.abstain[place]),
            reasons=reasons,
        )

    def _target(self, name: str) -> Target:
        return Target(**self._model.sets[name]["target"])

"""Counts of requests, compared with what the bundle's evaluation counted over held-out data.

Of a request nothing is kept but that one more value lay in a bin of each of its features: no value, no order, no time,
no client, and not which bins of different features belong together. Counts are shown and compared once a window is
full, then begin again at zero: what is shown is of `drift_window` requests or of none, and no two answers differ by
fewer.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from functools import partial
from typing import Literal

from prometheus_client import Counter, Gauge
from pydantic import BaseModel, Field

from components.config import DriftLimits
from components.drift import Reference, population_stability_index, threshold
from serving.core.metrics import Metrics

log = logging.getLogger(__name__)

Verdict = Literal["waiting", "usual", "drifted", "not compared"]


class FeatureDrift(BaseModel):
    """A feature's last full window of requests beside its reference."""

    about: str = Field(description="what is counted", examples=["mean grey level of what the model sees, 0 to 255"])
    verdict: Verdict = Field(
        description="drifted: the last window is farther from held-out data than chance allows; waiting: no window is "
        "full yet; not compared: held-out data does not have this feature"
    )
    distance: float | None = Field(description="population stability index of the last window; null before the first")
    threshold: float | None = Field(description="beyond it a window has drifted; null where nothing is compared")
    bins: list[str]
    reference: list[int] = Field(description="values of held-out data in each bin")
    requests: list[int] = Field(description="values of the last full window in each bin; empty before the first")
    waiting: int = Field(description="values in the window that is not full yet, of which nothing else is said")
    windows: int = Field(description="that were full since the server started")
    drifted: int = Field(description="of them, those that had drifted")


class DriftAnswer(BaseModel):
    """GET /drift."""

    window: int = Field(description="values of a feature in a window")
    alarm_rate: float = Field(description="share of windows that may drift by chance, of all features together")
    features: dict[str, FeatureDrift]


class _Feature:
    """A feature's counts. limit: a distance beyond it is drift; infinite where nothing is compared."""

    def __init__(self, reference: Reference, limit: float) -> None:
        self.reference = reference
        self.limit = limit
        self.filling = [0] * len(reference.counts)
        self.last: list[int] = []
        self.distance = math.nan
        self.windows = 0
        self.drifted = 0

    @property
    def compared(self) -> bool:
        return math.isfinite(self.limit)

    @property
    def verdict(self) -> Verdict:
        if not self.compared:
            return "not compared"
        if not self.windows:
            return "waiting"
        return "drifted" if self.distance > self.limit else "usual"

    def close(self) -> None:
        """The window is full."""
        self.last, self.filling = self.filling, [0] * len(self.filling)
        self.windows += 1
        if self.compared:
            self.distance = population_stability_index(self.reference.counts, self.last)
            self.drifted += self.verdict == "drifted"

    def answer(self) -> FeatureDrift:
        return FeatureDrift(
            about=self.reference.about,
            verdict=self.verdict,
            distance=round(self.distance, 4) if math.isfinite(self.distance) else None,
            threshold=round(self.limit, 4) if self.compared else None,
            bins=self.reference.labels,
            reference=list(self.reference.counts),
            requests=self.last,
            waiting=sum(self.filling),
            windows=self.windows,
            drifted=self.drifted,
        )


class Drift:
    """Used from the event loop alone."""

    def __init__(self, references: Mapping[str, Reference], limits: DriftLimits, metrics: Metrics) -> None:
        """references: of the bundle's evaluation, by feature."""
        self._limits = limits
        compared = sum(reference.values > 0 for reference in references.values())
        # Each feature has its share of the rate, so that all together have no more (Bonferroni).
        rate = limits.drift_alarm_rate / max(1, compared)
        self._features = {
            name: _Feature(reference, _limit(reference, limits.drift_window, rate))
            for name, reference in references.items()
        }
        self._closed = _export(self._features, metrics)

    def count(self, values: Mapping[str, float | str]) -> None:
        """Counts a request by the features that it has and the bundle knows."""
        for name, value in values.items():
            if name in self._features:
                self._count(name, value)

    def answer(self) -> DriftAnswer:
        return DriftAnswer(
            window=self._limits.drift_window,
            alarm_rate=self._limits.drift_alarm_rate,
            features={name: feature.answer() for name, feature in self._features.items()},
        )

    def _count(self, name: str, value: float | str) -> None:
        feature = self._features[name]
        feature.filling[feature.reference.bin_of(value)] += 1
        if sum(feature.filling) < self._limits.drift_window:
            return
        feature.close()
        if feature.compared:
            self._closed.labels(name, feature.verdict).inc()
        if feature.verdict == "drifted":
            fields = {"feature": name, "distance": round(feature.distance, 4), "threshold": round(feature.limit, 4)}
            log.warning("requests have drifted", extra={"fields": fields})


def _limit(reference: Reference, window: int, rate: float) -> float:
    return threshold(reference.values, window, len(reference.counts), rate) if reference.values else math.inf


def _export(features: Mapping[str, _Feature], metrics: Metrics) -> Counter:
    """Gauges of the features that are compared; returns the counter of their windows. No request can add a series."""
    registry = metrics.registry
    distance = Gauge("drift_distance", "Of the last window; NaN before the first", ["feature"], registry=registry)
    limit = Gauge("drift_threshold", "Distance beyond which it has drifted", ["feature"], registry=registry)
    waiting = Gauge("drift_waiting", "Values in the window that is not full", ["feature"], registry=registry)
    closed = Counter("drift_windows", "Windows that were full", ["feature", "verdict"], registry=registry)
    for name, feature in features.items():
        if feature.compared:
            distance.labels(name).set_function(partial(getattr, feature, "distance"))
            limit.labels(name).set(feature.limit)
            waiting.labels(name).set_function(partial(_waiting, feature))
            for verdict in ("usual", "drifted"):
                closed.labels(name, verdict)
    return closed


def _waiting(feature: _Feature) -> int:
    return sum(feature.filling)

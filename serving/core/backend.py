"""What an API works with, built from a bundle before the first request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, Self, TypeVar

from starlette.responses import Response

from components.config import DriftLimits, Limits, ShadowLimits
from components.promoted import Served
from serving.core.access import Access
from serving.core.drift import Drift
from serving.core.metrics import Metrics
from serving.core.request_context import PAGE, Rules
from serving.core.schemas import Info
from serving.core.shadow import Difference, Shadow, Timed

T = TypeVar("T")


class Work(Protocol):
    """Whatever does the work beside the event loop."""

    draining: bool
    """The server is shutting down: what is there is finished, nothing new is taken."""
    taken: int
    """Jobs that are done now or wait."""
    failed: bool
    """It will do no more work."""

    def start(self) -> None:
        """Called in the event loop, before the first request."""

    def stop(self) -> None: ...


class Backend:
    """An API's own extends it: `__init__(served, params)` loads the model and warms it up."""

    limits: Limits
    candidate: Self | None = None
    """A second model, which sees some of the requests and answers none."""
    shadow: Shadow | None = None
    """How its answers differ."""

    def __init__(
        self,
        served: Served,
        limits: Limits,
        work: Work,
        info: Info,
        document: dict[str, Any],
        metrics: Metrics | None = None,
    ) -> None:
        """document: the API's description, whose paths are the only ones there are (beside those of the page)."""
        self.limits = limits
        self.work, self.info = work, info
        self.origin = info.model
        self.metrics = metrics or Metrics()
        self.metrics.describe(served)
        self.drift = _drift(served, limits, self.metrics)
        self.docs = json.dumps(document).encode()
        self._paths = frozenset(document["paths"]) - {"/"}
        headers = [(name.encode(), value.encode()) for name, value in info.model.headers().items()]
        self.rules = Rules(served.lab, self._route, self.limits, headers, self.metrics, Access.of(self.limits))

    @property
    def alive(self) -> bool:
        return not self.work.failed

    @property
    def ready(self) -> bool:
        return self.alive and not self.work.draining

    def start(self) -> None:
        """Called in the event loop, before the first request."""
        self.work.start()

    def drain(self) -> None:
        """The server is shutting down: what is there is finished, nothing new is taken."""
        self.work.draining = True

    def stop(self) -> None:
        self.work.stop()
        if self.shadow:
            self.shadow.stop()

    def count(self, features: Mapping[str, float | str]) -> None:
        """Counts a request that was not refused, by its features. Called in the event loop."""
        if self.drift:
            self.drift.count(features)

    def compare_with(self, candidate: Self, routes: Mapping[str, str]) -> None:
        """Shows the candidate some of the requests from now on. routes: which, and how its answers' distance is told.

        Raises TypeError where the API's limits do not say how many.
        """
        if not isinstance(self.limits, ShadowLimits):
            raise TypeError(f"{type(self.limits).__name__} has no limits of a shadow")

        def busy() -> bool:
            return self.work.taken > 0 or self.work.draining

        self.candidate = candidate
        self.shadow = Shadow(self.origin, candidate.origin, busy, self.limits, routes, self.metrics)

    def beside(
        self,
        response: Response,
        route: str,
        served: Timed[T],
        look: Callable[[Self], T],
        compare: Callable[[T, T], Difference],
    ) -> Response:
        """The response, after which the candidate, where there is one, may look at the same request.

        served: what was answered. look: what the candidate would.
        """
        if self.shadow is None or self.candidate is None:
            return response
        return self.shadow.after(response, route, served, partial(look, self.candidate), compare)

    def _route(self, path: str) -> str | None:
        """A path's name in metrics and logs: its own for the API's, one for all of the page; None: no such path."""
        if path in self._paths:
            return path
        return PAGE if path == "/" or path.startswith("/static/") else None


def _drift(served: Served, limits: Limits, metrics: Metrics) -> Drift | None:
    """None where requests are not counted: the API has no features, or evaluation counted none of this bundle."""
    references = served.evaluation.drift_references if served.evaluation else {}
    return Drift(references, limits, metrics) if references and isinstance(limits, DriftLimits) else None

"""A candidate that sees some of the requests that the served model answers: how often both agree, and what it takes.

It works after an answer has been sent, in a thread of its own, on one request at a time, and only where nothing else is
to be done; a request that would have to wait for it is left out. So it changes no answer, and an answer waits for it at
most as long as the candidate takes for the one request that it is at.

Of a request nothing is kept but sums over `shadow_window` of them, as in `serving.core.drift`: shown when a window is
full, and no two answers differ by fewer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, NamedTuple, ParamSpec, TypeVar

from prometheus_client import Counter, Gauge
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.responses import Response

from components.config import ShadowLimits
from serving.core.metrics import Metrics
from serving.core.schemas import Origin

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class Timed(NamedTuple, Generic[T]):
    """What the served model found, and the seconds that it took."""

    found: T
    seconds: float


class Difference(NamedTuple):
    """How two answers to one request differ. distance: 0 (the same) to 1, as the API says for its route."""

    agree: bool
    distance: float


class RouteShadow(BaseModel):
    """What was seen at a route. Means are null before the first full window."""

    distance: str = Field(description="how the distance of two answers is measured")
    compared: int = Field(description="requests of full windows")
    agreed: int = Field(description="of them, those to which both models gave the same answer")
    mean_distance: float | None
    mean_seconds: float | None = Field(description="that the served model took for a request")
    mean_candidate_seconds: float | None = Field(description="that the candidate took for the same requests")
    waiting: int = Field(description="requests in the window that is not full yet, of which nothing else is said")
    errors: int = Field(description="requests on which the candidate failed")
    dropped: int = Field(description="requests that were left out, because the server or the candidate was busy")


class ShadowAnswer(BaseModel):
    """GET /shadow."""

    candidate: Origin
    model: Origin = Field(description="the model that answers")
    every: int = Field(description="one in so many requests of a route is shown to the candidate")
    window: int = Field(description="compared requests after which their sums are shown")
    routes: dict[str, RouteShadow]


class _Sums:
    """Over requests: how many, how many agreed, distances, and seconds of both models."""

    def __init__(self) -> None:
        self.compared = 0
        self.agreed = 0
        self.distance = 0.0
        self.seconds = 0.0
        self.candidate_seconds = 0.0

    def add(self, other: _Sums) -> None:
        self.compared += other.compared
        self.agreed += other.agreed
        self.distance += other.distance
        self.seconds += other.seconds
        self.candidate_seconds += other.candidate_seconds


class _Route:
    def __init__(self, about: str) -> None:
        self.about = about
        self.seen = 0
        self.errors = 0
        self.dropped = 0
        self.filling = _Sums()
        self.full = _Sums()

    def answer(self) -> RouteShadow:
        full = self.full

        def mean(total: float) -> float | None:
            return round(total / full.compared, 6) if full.compared else None

        return RouteShadow(
            distance=self.about,
            compared=full.compared,
            agreed=full.agreed,
            mean_distance=mean(full.distance),
            mean_seconds=mean(full.seconds),
            mean_candidate_seconds=mean(full.candidate_seconds),
            waiting=self.filling.compared,
            errors=self.errors,
            dropped=self.dropped,
        )


class Shadow:
    """Used from the event loop alone; the candidate works in a thread."""

    def __init__(
        self,
        origin: Origin,
        candidate: Origin,
        busy: Callable[[], bool],
        limits: ShadowLimits,
        routes: Mapping[str, str],
        metrics: Metrics,
    ) -> None:
        """origin, busy: of the model that answers. routes: that are compared, and how the distance is measured."""
        self._origin, self._candidate, self._serving, self._limits = origin, candidate, busy, limits
        self._routes = {name: _Route(about) for name, about in routes.items()}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._busy = False
        self._requests, self._distance, self._seconds = _export(self._routes, candidate, metrics)

    def after(
        self,
        response: Response,
        route: str,
        served: Timed[T],
        look: Callable[[], T],
        compare: Callable[[T, T], Difference],
    ) -> Response:
        """The response, after which the candidate may look at the request. look: its answer; it may raise anything."""

        async def see() -> None:
            self._see(route, served, look, compare)

        response.background = BackgroundTask(see)
        return response

    def answer(self) -> ShadowAnswer:
        return ShadowAnswer(
            candidate=_plain(self._candidate),
            model=_plain(self._origin),
            every=self._limits.shadow_every,
            window=self._limits.shadow_window,
            routes={name: route.answer() for name, route in self._routes.items()},
        )

    def stop(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _see(self, name: str, served: Timed[T], look: Callable[[], T], compare: Callable[[T, T], Difference]) -> None:
        route = self._routes[name]
        route.seen += 1
        if route.seen % self._limits.shadow_every:
            return
        if self._busy or self._serving():
            route.dropped += 1
            self._requests.labels(name, "dropped").inc()
            return
        self._busy = True
        loop = asyncio.get_running_loop()

        def work() -> None:
            try:
                timed_look = timed(look)()
                difference = compare(served.found, timed_look.found)
                note = partial(self._compared, name, difference, served.seconds, timed_look.seconds)
            except Exception as error:  # noqa: BLE001 - whatever the candidate does, the service goes on
                note = partial(self._failed, name, type(error).__name__)
            loop.call_soon_threadsafe(note)

        self._thread.submit(work)

    def _failed(self, name: str, kind: str) -> None:
        self._busy = False
        self._routes[name].errors += 1
        self._requests.labels(name, "error").inc()
        # Not its message, which may tell of the request.
        log.warning("the candidate failed", extra={"fields": {"route": name, "error": kind}})

    def _compared(self, name: str, difference: Difference, seconds: float, candidate_seconds: float) -> None:
        self._busy = False
        route = self._routes[name]
        filling = route.filling
        filling.compared += 1
        filling.agreed += difference.agree
        filling.distance += difference.distance
        filling.seconds += seconds
        filling.candidate_seconds += candidate_seconds
        if filling.compared < self._limits.shadow_window:
            return
        route.full.add(filling)
        route.filling = _Sums()
        self._requests.labels(name, "agreed").inc(filling.agreed)
        self._requests.labels(name, "disagreed").inc(filling.compared - filling.agreed)
        self._distance.labels(name).inc(filling.distance)
        self._seconds.labels(name, "served").inc(filling.seconds)
        self._seconds.labels(name, "candidate").inc(filling.candidate_seconds)


def _plain(origin: Origin) -> Origin:
    """Without what an API adds."""
    return Origin(**{name: getattr(origin, name) for name in Origin.model_fields})


def timed(job: Callable[P, T]) -> Callable[P, Timed[T]]:
    """The job, with the seconds that it takes."""

    def run(*args: P.args, **kwargs: P.kwargs) -> Timed[T]:
        began = time.perf_counter()
        found = job(*args, **kwargs)
        return Timed(found, time.perf_counter() - began)

    return run


def _export(routes: Mapping[str, _Route], candidate: Origin, metrics: Metrics) -> tuple[Counter, Counter, Counter]:
    """The counters of requests, distances and seconds. No request can add a series."""
    registry = metrics.registry
    about = Gauge("shadow_info", "The candidate", ["model_digest"], registry=registry)
    about.labels(candidate.model_digest).set(1)
    requests = Counter("shadow_requests", "Requests of the candidate's sample", ["route", "outcome"], registry=registry)
    distance = Counter("shadow_distance", "Sum of the distances of compared answers", ["route"], registry=registry)
    seconds = Counter("shadow_seconds", "Sum of the time for compared answers", ["route", "model"], registry=registry)
    for name in routes:
        for outcome in ("agreed", "disagreed", "error", "dropped"):
            requests.labels(name, outcome)
        distance.labels(name)
        for model in ("served", "candidate"):
            seconds.labels(name, model)
    return requests, distance, seconds

"""A candidate beside the served model: it delays and changes nothing, and of a request only sums are kept."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from starlette.responses import Response

from components.config import ShadowLimits
from serving.core.metrics import Metrics
from serving.core.schemas import Origin
from serving.core.shadow import Difference, Shadow, Timed
from tests.components.bundles import PROVENANCE

WINDOW = 10
ROUTE = "/look"


def origin(letter: str) -> Origin:
    return Origin(model_digest=letter * 64, variant="float", promoted=False, mlflow_run="", provenance=PROVENANCE)


def fresh(every: int = 1, busy: Callable[[], bool] = lambda: False) -> tuple[Shadow, Metrics]:
    metrics = Metrics()
    limits = ShadowLimits(shadow_every=every, shadow_window=WINDOW)
    return Shadow(origin("a"), origin("b"), busy, limits, {ROUTE: "difference"}, metrics), metrics


def compare(one: float, other: float) -> Difference:
    return Difference(one == other, abs(one - other))


async def sent(shadow: Shadow, served: float, look: Callable[[], float]) -> None:
    """As Starlette does once the response's last byte has been given away."""
    response = shadow.after(Response("the answer"), ROUTE, Timed(served, 0.25), look, compare)
    assert response.body == b"the answer"
    assert response.background is not None
    await response.background()


async def done(shadow: Shadow, count: int) -> None:
    """Waits until so many requests have come to an end of some kind."""
    while True:
        route = shadow.answer().routes[ROUTE]
        if route.compared + route.waiting + route.errors + route.dropped == count:
            return
        await asyncio.sleep(0.001)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 300))


def outcome(metrics: Metrics, name: str) -> float:
    found = metrics.registry.get_sample_value("shadow_requests_total", {"route": ROUTE, "outcome": name})
    assert found is not None
    return found


def test_agreement_distance_and_time_are_summed_over_whole_windows() -> None:
    shadow, metrics = fresh()

    async def work() -> None:
        for count in range(2 * WINDOW + 3):
            await sent(shadow, 0.5, lambda count=count: 0.5 if count % 5 else 0.7)  # type: ignore[misc]
            await done(shadow, count + 1)

    run(work())
    route = shadow.answer().routes[ROUTE]
    assert (route.compared, route.agreed, route.waiting) == (2 * WINDOW, 16, 3)
    assert route.mean_distance == pytest.approx(0.04)
    assert route.mean_seconds == 0.25
    assert route.mean_candidate_seconds is not None
    assert [outcome(metrics, name) for name in ("agreed", "disagreed", "error", "dropped")] == [16, 4, 0, 0]


def test_one_request_at_a_time_and_none_waits() -> None:
    shadow, metrics = fresh()
    release = threading.Event()

    def slow() -> float:
        release.wait()
        return 0.5

    async def work() -> None:
        for _ in range(6):
            await sent(shadow, 0.5, slow)  # returns while the candidate is at the first
        assert shadow.answer().routes[ROUTE].dropped == 5
        release.set()
        await done(shadow, 6)
        await sent(shadow, 0.5, slow)
        await done(shadow, 7)

    run(work())
    assert shadow.answer().routes[ROUTE].waiting == 2
    assert outcome(metrics, "dropped") == 5


def test_a_busy_server_shows_the_candidate_nothing() -> None:
    shadow, _ = fresh(busy=lambda: True)

    def never() -> float:
        raise AssertionError("it was asked")

    async def work() -> None:
        await sent(shadow, 0.5, never)

    run(work())
    route = shadow.answer().routes[ROUTE]
    assert (route.dropped, route.errors) == (1, 0)


def test_one_in_so_many_requests_is_shown() -> None:
    shadow, _ = fresh(every=4)
    looked: list[int] = []

    async def work() -> None:
        for count in range(12):
            await sent(shadow, 0.5, lambda count=count: looked.append(count) or 0.5)  # type: ignore[func-returns-value, misc]
            await done(shadow, (count + 1) // 4)

    run(work())
    assert looked == [3, 7, 11]


def test_a_candidate_that_fails_is_counted_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    shadow, metrics = fresh()

    def fails() -> float:
        raise ValueError("pixel 17 of somebody's photograph")

    async def work() -> None:
        await sent(shadow, 0.5, fails)
        await done(shadow, 1)
        await sent(shadow, 0.5, lambda: 0.5)
        await done(shadow, 2)

    run(work())
    route = shadow.answer().routes[ROUTE]
    assert (route.errors, route.waiting) == (1, 1)
    assert outcome(metrics, "error") == 1
    (record,) = caplog.records
    assert record.__dict__["fields"] == {"route": ROUTE, "error": "ValueError"}
    assert "pixel" not in caplog.text, "its message may tell of the request"


@pytest.mark.parametrize("count", [1, WINDOW - 1, WINDOW + 1])
def test_what_is_shown_before_a_window_is_full_does_not_depend_on_its_requests(count: int) -> None:
    """So no single request can be read off two answers, nor off the metrics."""

    def shown(last: float) -> tuple[str, list[str]]:
        shadow, metrics = fresh()
        full = count // WINDOW * WINDOW

        async def work() -> None:
            for place in range(count):
                await sent(shadow, 0.5, lambda place=place: 0.5 if place < full else last)  # type: ignore[misc]
                await done(shadow, place + 1)

        run(work())
        answer = shadow.answer().model_dump()
        answer["routes"][ROUTE].pop("mean_candidate_seconds")  # measured
        timed = ("_created", 'model="candidate"')
        lines = [line for line in metrics.page().decode().splitlines() if not any(word in line for word in timed)]
        return json.dumps(answer), lines

    assert shown(0.5) == shown(0.9)

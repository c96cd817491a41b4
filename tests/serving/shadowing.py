"""What tests of a candidate beside an API ask of GET /shadow and of the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.serving.servers import Server

OUTCOMES = ("agreed", "disagreed", "error", "dropped")


def compared(server: Server, route: str) -> dict[str, Any]:
    """What is shown of a route."""
    found: dict[str, Any] = server.client.get("/shadow").json()["routes"][route]
    return found


@contextmanager
def candidate_looks(server: Server, route: str) -> Iterator[None]:
    """At its end, waits until the candidate has come to an end of some kind with the one request of the block."""
    before = _ended(server, route)
    yield
    server.wait_for(lambda: _ended(server, route) == before + 1)


def outcomes(server: Server, route: str) -> dict[str, float]:
    return {name: server.metric(f'shadow_requests_total{{outcome="{name}",route="{route}"}}') for name in OUTCOMES}


def _ended(server: Server, route: str) -> int:
    return sum(int(compared(server, route)[name]) for name in ("compared", "waiting", "errors", "dropped"))

"""Server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.types import Receive, Scope, Send


def event(name: str, data: str) -> bytes:
    """data: one line."""
    return f"event: {name}\ndata: {data}\n\n".encode()


class EventStream:
    """An answer of events. Its source is closed as soon as nobody listens any more."""

    HEADERS = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes]) -> None:
        self._first = first
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._rest):
            await send({"type": "http.response.start", "status": 200, "headers": [*self.HEADERS]})
            await send({"type": "http.response.body", "body": self._first, "more_body": True})
            async for event in self._rest:
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body"})

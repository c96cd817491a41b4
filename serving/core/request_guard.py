"""What every request passes first: request id, known paths, a bounded body, provenance headers, metrics, a log line.

BentoML has no body limit, answers unknown errors without a detail, labels metrics with any path that is asked for and
goes on working for clients that have left. This middleware stands in front of it and does these things.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.problems import RefusalError, busy

if TYPE_CHECKING:
    from components.config import Limits
    from serving.core.metrics import Metrics

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
LINGER_BYTES = 2**20
"""Bytes of too large a body that are read and thrown away, so that the refusal reaches a client that still sends."""


@dataclass(frozen=True)
class Rules:
    """What the guard must know of the backend."""

    lab: str
    """Whose model it is, for the log."""
    route: Callable[[str], str | None]
    """The name of a path in metrics and logs: one of a few. None: there is no such path."""
    limits: Limits
    headers: Sequence[tuple[bytes, bytes]]
    """Put on every answer: where the model comes from."""
    metrics: Metrics


class RequestGuard:
    """ASGI middleware. A 500 has a reason, too.

    A client that leaves has its request cancelled, which frees what the request holds.
    """

    def __init__(self, app: ASGIApp, rules: Callable[[], Rules]) -> None:
        self._app = app
        self._rules = rules
        self._held = 0
        """Bytes of all bodies in memory."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        rules = self._rules()
        context = RequestContext(scope, send, rules)
        body = bytearray()
        try:
            if context.route is None:
                raise RefusalError(404, "no such path: docs.json lists those there are")
            await self._read_body(scope, receive, rules.limits, body)
            await _until_left(self._app, scope, bytes(body), receive, context.send)
        except RefusalError as refusal:
            await context.refuse(refusal, receive)
        except _LeftError:
            context.status = 499  # nginx's number for a client that closed its request
        except Exception:
            log.exception("request failed", extra={"fields": {"request_id": context.id}})
            await context.refuse(
                RefusalError(500, "internal error: the server's log has it under this request id"), receive
            )
        finally:
            self._held -= len(body)
            context.record()

    async def _read_body(self, scope: Scope, receive: Receive, limits: Limits, body: bytearray) -> None:
        """Adds to the body, no further than the limits allow. Raises RefusalError (413, 408, 429) or _LeftError."""
        too_large = RefusalError(413, f"the body is larger than {limits.body_bytes:,} bytes")
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > limits.body_bytes:
            raise too_large
        try:
            async with asyncio.timeout(limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _LeftError
                    piece = message.get("body", b"")
                    body += piece
                    self._held += len(piece)
                    if len(body) > limits.body_bytes:
                        raise too_large
                    if self._held > limits.held_bytes:
                        raise busy(429, "too much is being sent at once: come back later", limits.retry_after_seconds)
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            raise RefusalError(408, f"the body did not arrive within {limits.body_seconds:g} s") from None


class RequestContext:
    """One request while it is answered: its id, its answer's status, its time."""

    def __init__(self, scope: Scope, send: Send, rules: Rules) -> None:
        self.route = rules.route(scope["path"])
        self.status = 0
        self._replaced = False
        """Another answer has been sent in place of the one that comes."""
        self._scope = scope
        self._send = send
        self._rules = rules
        self._started = time.perf_counter()
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        self.id = given.decode() if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = self.id

    async def send(self, message: Message) -> None:
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            if message["status"] >= 400 and not _is_problem(message):
                await self._replace(message)
                return
            self.status = message["status"]
            message = {
                **message,
                "headers": [*message["headers"], (b"x-request-id", self.id.encode()), *self._rules.headers],
            }
        await self._send(message)

    async def _replace(self, start: Message) -> None:
        """Answers as a problem what BentoML's probes and the files of the page refuse in plain text."""
        of_the_body = (b"content-type", b"content-length")
        kept = {name.decode(): value.decode() for name, value in start["headers"] if name not in of_the_body}
        refusal = RefusalError(start["status"], HTTPStatus(start["status"]).phrase.lower(), headers=kept)
        await refusal.response(self.id)(self._scope, _nothing, self.send)
        self._replaced = True

    async def refuse(self, refusal: RefusalError, receive: Receive) -> None:
        """Sends the refusal, unless an answer is under way: then the connection breaks, which says so."""
        if self.status:
            return
        if refusal.status in (408, 413, 429):  # of the body: it is not read to its end
            refusal.headers["connection"] = "close"
        response = refusal.response(self.id)
        if refusal.status not in (413, 429):
            await response(self._scope, receive, self.send)
            return
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": response.raw_headers})
        await self.send({"type": "http.response.body", "body": response.body, "more_body": True})
        await _linger(receive)
        await self.send({"type": "http.response.body"})

    def record(self) -> None:
        seconds = time.perf_counter() - self._started
        if self.route is not None:
            self._rules.metrics.requests.labels(self.route, self.status).inc()
            self._rules.metrics.seconds.labels(self.route).observe(seconds)
        fields = {"request_id": self.id, "lab": self._rules.lab, "route": self.route, "status": self.status}
        log.info("request", extra={"fields": fields | {"ms": round(1000 * seconds, 1)}})


class _LeftError(Exception):
    """The client closed its connection."""


async def _until_left(app: ASGIApp, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
    """Runs the request until it is answered, or until the client has left. Raises _LeftError."""
    unread = [body]
    left = asyncio.ensure_future(_disconnect(receive))

    async def replay() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        await asyncio.shield(left)
        return {"type": "http.disconnect"}

    work = asyncio.ensure_future(app(scope, replay, send))
    try:
        await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise _LeftError
        work.result()
    finally:
        left.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait((work,))


def _is_problem(start: Message) -> bool:
    return any(name == b"content-type" and value == b"application/problem+json" for name, value in start["headers"])


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _linger(receive: Receive) -> None:
    """Throws away a little of what still comes: closing on a client that sends would reset its unread answer."""
    thrown = 0
    try:
        async with asyncio.timeout(1):
            while thrown < LINGER_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                thrown += len(message.get("body", b""))
    except TimeoutError:
        return

"""One request while it is answered: its id, its answer's status and bytes, its time, its line in the log."""

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

from starlette.types import Message, Receive, Scope, Send

from serving.core.problems import INTERNAL, NO_SNIFF, RefusalError, busy

if TYPE_CHECKING:
    from components.config import Limits
    from serving.core.access import Access
    from serving.core.metrics import Metrics

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
LINGER_BYTES = 2**20
"""Bytes of too large a body that are read and thrown away, so that the refusal reaches a client that still sends."""
OPEN = ("/livez", "/readyz", "/metrics")
"""Probes and scrapers have no key."""
PAGE = "page"
"""The route of all files of the page."""
UNREAD = (401, 408, 413, 429)
"""Refusals of this module's own that come before the body was read to its end."""
PIECE_BYTES = 65536
"""An answer is sent in pieces of so many bytes, the next when the last has been taken: no second copy of it waits."""
LEFT = 499
"""nginx's number for a client that closed its request."""


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
    access: Access | None = None
    """None: everybody may ask, as often as they like."""


class Held:
    """Bytes of bodies and of answers that are in memory."""

    def __init__(self) -> None:
        self.bytes = 0


class LeftError(Exception):
    """The client closed its connection."""


class RequestContext:
    """left: done as soon as the client is known to have left."""

    def __init__(self, scope: Scope, send: Send, rules: Rules, held: Held) -> None:
        self.route = rules.route(scope["path"])
        self.client = ""
        """Whose API key was sent; no client chooses it."""
        self.status = 0
        """The status of the answer that has begun."""
        self.left: asyncio.Future[None] | None = None
        self._start: Message | None = None
        """The answer's beginning, which is sent with its first bytes."""
        self._ended = False
        self._sent_bytes = 0
        self._replaced = False
        """Another answer has been sent in place of the one that comes."""
        self._scope = scope
        self._send = send
        self._rules = rules
        self._held = held
        self._started = time.perf_counter()
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        self.id = given.decode() if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = self.id

    def admit(self) -> None:
        """Looks at the client's key and quota, where keys are asked for. Raises RefusalError (401, 429)."""
        access, metrics = self._rules.access, self._rules.metrics
        if access is None or self.route in OPEN:
            return
        outcome = "no key"
        try:
            self.client = access.client(dict(self._scope["headers"]))
            outcome = "over its quota"
            if self.route != PAGE:
                access.take(self.client)
            outcome = "admitted"
        finally:
            metrics.clients.labels(self.client, outcome).inc()

    async def send(self, message: Message) -> None:
        """Raises LeftError where the client has left in the middle of a long answer."""
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            if message["status"] >= 400 and not _is_problem(message):
                status = message["status"]
                detail = INTERNAL if status == 500 else HTTPStatus(status).phrase.lower()
                await self._replace(RefusalError(status, detail, headers=_without_body(message)))
            else:
                self._start = message
            return
        body = message.get("body", b"")
        if self._start and self._start["status"] < 400 and not self._fits(body):
            self._start = None
            seconds = self._rules.limits.retry_after_seconds
            await self._replace(busy(429, "too many answers wait to be read: come back later", seconds))
            return
        await self._begin()
        await self._send_body(body, message.get("more_body", False))

    async def refuse(self, refusal: RefusalError, receive: Receive) -> None:
        """Sends the refusal, unless an answer is under way: then the connection breaks, which says so."""
        if self.status:
            return
        self._start = None
        if refusal.status in UNREAD:
            refusal.headers["connection"] = "close"
        response = refusal.response(self.id)
        if refusal.status not in UNREAD or refusal.status == 408:
            await response(self._scope, receive, self.send)
            return
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": response.raw_headers})
        await self.send({"type": "http.response.body", "body": response.body, "more_body": True})
        await _linger(receive)
        await self.send({"type": "http.response.body"})

    def record(self, status: int = 0) -> None:
        """status: what is written down in place of the answer's own, where that was not sent to its end."""
        seconds = time.perf_counter() - self._started
        status = status or self.status
        if self.route is not None:
            self._rules.metrics.requests.labels(self.route, status).inc()
            self._rules.metrics.seconds.labels(self.route).observe(seconds)
        fields = {"request_id": self.id, "lab": self._rules.lab, "route": self.route, "status": status}
        if self.client:
            fields["client"] = self.client
        if self.status and not self._ended:
            log.warning("answer cut off", extra={"fields": {**fields, "sent_bytes": self._sent_bytes}})
        log.info("request", extra={"fields": fields | {"ms": round(1000 * seconds, 1)}})

    def _fits(self, body: bytes) -> bool:
        return len(body) <= PIECE_BYTES or self._held.bytes + len(body) <= self._rules.limits.held_bytes

    async def _begin(self) -> None:
        if not self._start:
            return
        start, self._start = self._start, None
        self.status = start["status"]
        headers = [*start["headers"], (b"x-request-id", self.id.encode()), *self._rules.headers]
        if NO_SNIFF not in headers:
            headers.append(NO_SNIFF)
        await self._send({**start, "headers": headers})

    async def _send_body(self, body: bytes, more_body: bool) -> None:
        if len(body) <= PIECE_BYTES:
            await self._send_piece(body, more_body)
            return
        self._held.bytes += len(body)
        try:
            view = memoryview(body)
            for at in range(0, len(body), PIECE_BYTES):
                last = at + PIECE_BYTES >= len(body)
                await self._send_piece(bytes(view[at : at + PIECE_BYTES]), more_body or not last)
                await asyncio.sleep(0)  # a server that has lost its client takes the rest without waiting
                if not last and self.left and self.left.done():
                    raise LeftError
        finally:
            self._held.bytes -= len(body)

    async def _send_piece(self, piece: bytes, more_body: bool) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": more_body})
        self._sent_bytes += len(piece)
        self._ended = not more_body

    async def _replace(self, refusal: RefusalError) -> None:
        """Answers with a problem in place of what BentoML's probes and the files of the page refuse in plain text."""
        await refusal.response(self.id)(self._scope, _nothing, self.send)
        self._replaced = True


def _without_body(start: Message) -> dict[str, str]:
    """The headers that do not speak of the body."""
    of_the_body = (b"content-type", b"content-length")
    return {name.decode(): value.decode() for name, value in start["headers"] if name not in of_the_body}


def _is_problem(start: Message) -> bool:
    return any(name == b"content-type" and value == b"application/problem+json" for name, value in start["headers"])


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


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

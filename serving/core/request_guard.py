"""What every request passes first: request id, known paths, a bounded body, provenance headers, metrics, a log line.

BentoML has no body limit, answers unknown errors without a detail, labels metrics with any path that is asked for and
goes on working for clients that have left. This middleware stands in front of it and does these things.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.problems import INTERNAL, RefusalError, busy
from serving.core.request_context import LEFT, Held, LeftError, RequestContext, Rules

if TYPE_CHECKING:
    from components.config import Limits

log = logging.getLogger(__name__)

FORM_COPIES = 2
"""A form is in memory as its body and as its files."""


class RequestGuard:
    """ASGI middleware. A 500 has a reason, too.

    A client that leaves has its request cancelled, which frees what the request holds.
    """

    def __init__(self, app: ASGIApp, rules: Callable[[], Rules]) -> None:
        self._app = app
        self._rules = rules
        self._held = Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        rules = self._rules()
        context = RequestContext(scope, send, rules, self._held)
        body = Body(scope, rules.limits, self._held)
        instead = 0
        try:
            if context.route is None:
                raise RefusalError(404, "no such path: docs.json lists those there are")
            context.admit()
            await body.read(receive)
            await _until_left(self._app, scope, body, receive, context)
        except RefusalError as refusal:
            await context.refuse(refusal, receive)
        except LeftError:
            instead = LEFT
        except asyncio.CancelledError:  # by the server, which has no more time to drain
            instead = 503
            await context.refuse(busy(503, "the server is shutting down", rules.limits.retry_after_seconds), receive)
        except Exception:
            log.exception("request failed", extra={"fields": {"request_id": context.id}})
            await context.refuse(RefusalError(500, INTERNAL), receive)
        finally:
            body.free()
            context.record(instead)


class Body:
    """A request's body, which is counted as long as the request is answered."""

    def __init__(self, scope: Scope, limits: Limits, held: Held) -> None:
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        self._announced = int(length) if length.isdigit() else 0
        self._copies = FORM_COPIES if headers.get(b"content-type", b"").lower().startswith(b"multipart/") else 1
        self._limits = limits
        self._held = held
        self._pieces: list[bytes] = []
        self._bytes = 0

    async def read(self, receive: Receive) -> None:
        """No further than the limits allow. Raises RefusalError (413, 408, 429) or LeftError."""
        seconds = self._limits.body_seconds
        if self._announced > self._limits.body_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(seconds):
                while await self._read_piece(receive):
                    pass
        except TimeoutError:
            raise RefusalError(408, f"the body did not arrive within {seconds:g} s") from None

    def take(self) -> bytes:
        """All of it; from now on it is the caller's alone."""
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def free(self) -> None:
        """The request is answered."""
        self._held.bytes -= self._copies * self._bytes
        self._pieces, self._bytes = [], 0

    async def _read_piece(self, receive: Receive) -> bool:
        """Whether there is more."""
        message = await receive()
        if message["type"] == "http.disconnect":
            raise LeftError
        if piece := message.get("body", b""):  # a request without a body, as a probe is, adds nothing to what is held
            self._pieces.append(piece)
            self._bytes += len(piece)
            self._held.bytes += self._copies * len(piece)
            if self._bytes > self._limits.body_bytes:
                raise self._too_large()
            if self._held.bytes > self._limits.held_bytes:
                raise busy(429, "too much is being sent at once: come back later", self._limits.retry_after_seconds)
        return bool(message.get("more_body", False))

    def _too_large(self) -> RefusalError:
        return RefusalError(413, f"the body is larger than {self._limits.body_bytes:,} bytes")


async def _until_left(app: ASGIApp, scope: Scope, body: Body, receive: Receive, context: RequestContext) -> None:
    """Runs the request until it is answered, or until the client has left. Raises LeftError."""
    handed_over = False
    left = context.left = asyncio.ensure_future(_disconnect(receive))

    async def replay() -> Message:
        nonlocal handed_over
        if not handed_over:
            handed_over = True
            return {"type": "http.request", "body": body.take(), "more_body": False}
        await asyncio.shield(left)
        return {"type": "http.disconnect"}

    work = asyncio.ensure_future(app(scope, replay, context.send))
    try:
        await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise LeftError
        work.result()
    finally:
        left.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait((work,))
        # Its error's traceback holds this frame. Held by it in turn, an answer of megabytes would stay in memory until
        # the collector looks for cycles, which it does every hundred requests or so.
        del work


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

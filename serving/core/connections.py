"""Connections of strangers: how many are open, how large and how late their headers are, how slowly they read.

uvicorn bounds none of these with httptools, and with h11, which takes four times the CPU, only the first. Nothing here
costs a request a timer: the server looks at its connections once a second.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.core.problems import NO_SNIFF, RefusalError

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn.server import ServerState

    from components.config import ServerLimits

log = logging.getLogger(__name__)

BACKLOG = 128
"""Connections that the kernel keeps until the server takes them."""
FEED_BYTES = 16384
"""Most bytes that the parser is given at a time: what it makes of them is looked at in between."""
LINGER_BYTES, LINGER_SECONDS = 2**20, 1.0
"""What a refused client may still send, which is thrown away: closed at once, it would not see why."""


class Config(uvicorn.Config):
    """uvicorn's options, the limits of connections, and those connections that have not sent a whole request yet."""

    def __init__(self, app: ASGIApp, limits: ServerLimits) -> None:
        super().__init__(
            app,
            http=Connection,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=1,
        )
        self.limits = limits
        self.incomplete: dict[Connection, None] = {}
        """Idle ones, too; that which began first comes first."""
        self.closed = 0
        """Connections closed to make room for others, since this was last said."""


class Connection(HttpToolsProtocol):
    """A connection, and what its server waits for."""

    config: Config

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._since = self.loop.time()
        """When the server began to wait for what it waits for."""
        self._begun = False
        """The next request has begun to arrive."""
        self._field_bytes = 0
        """Request line and headers, trailers too, of a request."""
        self._unparsed_bytes = 0
        """What has arrived since the parser last made something of it."""
        self._unsent_since: float | None = None
        self._refused = False
        """Nothing that still comes is looked at."""

    @property
    def busy(self) -> bool:
        """Whether an answer is made or delivered."""
        return self._answering or self._unsent_bytes > 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_request()
        if len(self.connections) > self.config.limits.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self.config.incomplete.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        for at in range(0, len(data), FEED_BYTES):
            if self._refused:
                self._throw_away(len(data) - at)
                return
            if not (self._begun or self._answering):
                self._begun = True
                self._wait_for_request()
            self._unparsed_bytes += len(data[at : at + FEED_BYTES])
            super().data_received(data[at : at + FEED_BYTES])
            if self._unparsed_bytes > self.config.limits.header_bytes:
                self._refuse(self._too_large())

    def on_message_begin(self) -> None:
        if self._answering:  # nobody needs pipelining, and what waits in line would have to be bounded
            raise ValueError("a second request before the first was answered")
        super().on_message_begin()
        self._begun = True
        self._field_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unparsed_bytes = 0
        self._begun = False
        self._since = self.loop.time()
        self.config.incomplete.pop(self, None)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._wait_for_request()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self._unsent_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unsent_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Called where the parser fails, as it does where a callback of this class raises."""
        too_large = self._field_bytes > self.config.limits.header_bytes
        self._refuse(self._too_large() if too_large else RefusalError(400, "this is not a request of HTTP/1.1"))

    def check(self, now: float) -> None:
        """Closes the connection if its client has had its time. Called once a second."""
        if self._unsent_bytes == 0:
            self._unsent_since = None
        elif self._unsent_since is None:
            self._unsent_since = now
        limits = self.config.limits
        if self._unsent_since is not None:
            if now - self._unsent_since > limits.send_seconds:
                fields = {"unsent_bytes": self._unsent_bytes, "seconds": limits.send_seconds}
                log.warning("a client does not read its answer", extra={"fields": fields})
                self.transport.abort()
        elif self._refused:
            if now - self._since > LINGER_SECONDS and not self._answering:
                self.transport.close()
        elif not self._answering and now - self._since > limits.header_seconds:
            if self._begun:
                self._refuse(RefusalError(408, f"the headers did not arrive within {limits.header_seconds:g} s"))
            elif self.cycle is None:  # else uvicorn's own timeout of idle connections counts
                self.transport.close()

    def waits_since(self) -> tuple[int, float] | None:
        """When the server began to wait for this client, those first that are let go of more easily; None: it works.

        1: for a body; 2: for an answer to be read. What waits for headers is in `Config.incomplete`.
        """
        if self._unsent_since is not None:
            return 2, self._unsent_since
        return (1, self._since) if self._answering and self.cycle.more_body else None

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def _wait_for_request(self) -> None:
        self._since = self.loop.time()
        self.config.incomplete.pop(self, None)
        self.config.incomplete[self] = None  # the latest comes last

    def _count(self, size: int) -> None:
        self._unparsed_bytes = 0
        self._field_bytes += size
        if self._field_bytes > self.config.limits.header_bytes:
            raise ValueError("headers are too large")

    def _too_large(self) -> RefusalError:
        return RefusalError(431, f"request line and headers have more than {self.config.limits.header_bytes:,} bytes")

    def _refuse(self, refusal: RefusalError) -> None:
        """Answers and closes, soon; where an answer is under way, closes after it."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        if self._answering:
            self.cycle.keep_alive = False
            if not self.cycle.more_body:
                return
            if self.cycle.response_started:  # it can't be taken back, and the rest of the body will not be read
                self.transport.abort()
                return
            self.cycle.disconnected = True  # whoever waits for the rest of the body learns that it will not come
            self.cycle.message_event.set()
            self.cycle = None  # type: ignore[assignment]
        self._wait_for_request()
        response = refusal.response(uuid.uuid4().hex)
        headers = [*self.server_state.default_headers, *response.raw_headers, NO_SNIFF, (b"connection", b"close")]
        lines = [STATUS_LINE[refusal.status], *(name + b": " + value + b"\r\n" for name, value in headers), b"\r\n"]
        self.transport.write(b"".join([*lines, bytes(response.body)]))
        log.info("connection refused", extra={"fields": {"status": refusal.status, "detail": refusal.detail}})

    def _throw_away(self, size: int) -> None:
        self._unparsed_bytes += size
        if self._unparsed_bytes > LINGER_BYTES and not self._answering:
            self.transport.abort()

    def _make_room(self) -> None:
        """Closes the connection whose client the server has waited for longest."""
        oldest = next(iter(self.config.incomplete))
        if oldest is self:
            waiting = [(since, other) for other in self.connections if (since := other.waits_since()) is not None]  # type: ignore[union-attr]
            if not waiting:
                self._refuse(RefusalError(503, "there are too many connections", headers={"retry-after": "1"}))
                self.transport.close()
                return
            oldest = min(waiting, key=lambda pair: pair[0])[1]  # type: ignore[assignment]
        self.config.closed += 1
        oldest.transport.abort()
        self.connections.discard(oldest)
        self.config.incomplete.pop(oldest, None)

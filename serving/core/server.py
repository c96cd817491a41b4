"""What serves an API: its options, the socket, an interpreter tuned for serving, and an end that drains."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvicorn
from starlette.types import ASGIApp

from components.config import ServerLimits
from components.errors import UserError
from components.params import load_server
from components.settings import project_root, send_no_telemetry, settings
from serving.core import logs
from serving.core.backend import Backend
from serving.core.connections import BACKLOG, Config, Connection
from serving.core.service import ApiDefinition, load_backend, make_service

if TYPE_CHECKING:
    import bentoml
    from starlette.applications import Starlette

log = logging.getLogger(__name__)

GC_THRESHOLDS = (50_000, 50, 50)
"""A request makes few cycles: looking for them rarely takes the collector's pauses out of the slowest answers."""
OTHER_FILES = 2 * BACKLOG
"""Files that a process needs beside those of its connections: its own, and those of a backlog that it just took."""
LAST_SECONDS = 1
"""Time for the last refusals to be delivered, after that for draining."""
UNSENT_BYTES = 65536
"""Most bytes of an answer that the kernel keeps before it sends them; it would keep megabytes for each client."""
SWITCH_SECONDS = 0.001
"""How long one thread may keep the interpreter from another: none must wait 5 ms for each of its turns."""

Host = Annotated[str | None, typer.Option(help="Address to listen on, by default SERVE_HOST.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on, by default SERVE_PORT; 0 takes a free one.")
]
AllowUnpromoted = Annotated[
    bool,
    typer.Option(
        "--allow-unpromoted",
        help="Serve a bundle that has passed no gate, or whose audit is missing or altered; every answer says so. "
        "By default SERVE_ALLOW_UNPROMOTED.",
    ),
]
Params = Annotated[Path | None, typer.Option(help="Parameters, by default the project's params.yaml.")]


def run(api: ApiDefinition, reference: str = "", arguments: Sequence[str] | None = None) -> None:
    """The command line of an API; fails in one line where the bundle or the port can't be had.

    reference: the bundle that is served where no option and no variable names one; by default the champion of the API's
    first lab. arguments: by default those that the process was started with.
    """

    def main(
        bundle: Annotated[
            str | None, typer.Option(help="A bundle's folder, or models:/<lab>@champion; by default SERVE_BUNDLE.")
        ] = None,
        host: Host = None,
        port: Port = None,
        allow_unpromoted: AllowUnpromoted = False,
        params: Params = None,
        shadow: Annotated[
            str | None,
            typer.Option(
                help="A second bundle, such as models:/<lab>/3, which sees some of the requests and answers none; "
                "GET /shadow compares. By default SERVE_SHADOW."
            ),
        ] = None,
    ) -> None:
        def load() -> tuple[ASGIApp, list[Backend]]:
            given = settings()
            allowed = allow_unpromoted or given.serve_allow_unpromoted
            backend = load_backend(
                api, bundle or given.serve_bundle or reference, allowed, params, shadow or given.serve_shadow
            )
            return lean(make_service(api, backend)), [backend]

        serve(load, host, port, params)

    main.__doc__ = f"Serves the {api.name} API."
    command(main, arguments)


def command(main: Callable[..., None], arguments: Sequence[str] | None = None) -> None:
    """Runs a function as a command line. arguments: by default those that the process was started with."""
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app(args=None if arguments is None else list(arguments), prog_name="python -m serving")


def serve(
    load: Callable[[], tuple[ASGIApp, list[Backend]]], host: str | None, port: int | None, params: Path | None
) -> None:
    """Serves an application and what it works with until SIGTERM; `load` makes both, or raises UserError.

    params: with the limits of connections, by default the project's.
    """
    send_no_telemetry()
    try:
        given = settings()
        logs.configure(given.log_level)
        limits = with_files(load_server(params or project_root() / "params.yaml"))
        app, backends = load()
        listener = _listen(host or given.serve_host, given.serve_port if port is None else port)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    address, number = listener.getsockname()[:2]
    log.info("listening", extra={"fields": {"port": number, "url": f"http://{address}:{number}/"}})
    _tune_interpreter()
    Server(Config(app, limits), backends).run(sockets=[listener])


def lean(service: bentoml.Service[Any]) -> Starlette:
    """BentoML's application without two of its middlewares, a fifth of a short request's time.

    Tracing looks at every event of every request though it is switched off. The timeout keeps every request in memory
    until its minute is over, answered or not: 180 ms pauses of the collector. RequestGuard and the routes have their
    own.
    """
    from bentoml._internal.server.http.traffic import TimeoutMiddleware
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    application: Starlette = service.to_asgi(is_main=False)
    unwanted: tuple[Any, ...] = (TimeoutMiddleware, OpenTelemetryMiddleware)
    application.user_middleware = [used for used in application.user_middleware if used.cls not in unwanted]
    return application


class Server(uvicorn.Server):
    """Drains on the first SIGTERM: new work gets 503, /readyz too, and it ends when the last byte is delivered.

    What is not delivered within `drain_seconds` is cut off, which the log says; what has not begun gets a 503.
    """

    config: Config

    def __init__(self, config: Config, backends: Sequence[Backend]) -> None:
        super().__init__(config)
        self._backends = backends
        self._seconds = max((backend.limits.drain_seconds for backend in backends), default=0)
        self._drained_by: float | None = None
        self._draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._draining:
            self.should_exit = True
        self._draining = True
        for backend in self._backends:
            backend.drain()

    async def on_tick(self, counter: int) -> bool:
        now = asyncio.get_running_loop().time()
        if counter % 10 == 0:
            self._check_connections(now)
        if self._draining:
            if self._drained_by is None:
                self._drained_by = now + self._seconds
            self.should_exit |= not self._busy or now >= self._drained_by
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """What still runs has had its time."""
        tasks = set(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_SECONDS)
        await super().shutdown(sockets)
        for connection in self._connections:
            if unsent := connection.transport.get_write_buffer_size():
                log.warning("answer cut off by the end of the server", extra={"fields": {"unsent_bytes": unsent}})

    @property
    def _busy(self) -> bool:
        working = any(backend.work.taken for backend in self._backends)
        return working or any(connection.busy for connection in self._connections)

    @property
    def _connections(self) -> list[Connection]:
        return [one for one in self.server_state.connections if isinstance(one, Connection)]

    def _check_connections(self, now: float) -> None:
        for connection in self._connections:
            connection.check(now)
        if self.config.closed:
            log.warning("connections were closed to make room", extra={"fields": {"connections": self.config.closed}})
            self.config.closed = 0


def with_files(limits: ServerLimits) -> ServerLimits:
    """The limits, with no more connections than the process may open files for. Raises UserError."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections + OTHER_FILES
    if most == resource.RLIM_INFINITY or most >= wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), most))
        return limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < 2 * OTHER_FILES:
        raise UserError(f"the process may open {most} files, and needs {2 * OTHER_FILES}: raise `ulimit -n`")
    log.warning("%d connections instead of %d: `ulimit -n` is %d", most - OTHER_FILES, limits.connections, most)
    return limits.model_copy(update={"connections": most - OTHER_FILES})


def _tune_interpreter() -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port") from None
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    return listener

"""What every API is started by: its options, the socket, an interpreter tuned for serving, and an end that drains."""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvicorn
from starlette.applications import Starlette

from components.config import LabParams
from components.errors import UserError
from components.params import load
from components.settings import project_root, settings
from serving.core import logs
from serving.core.backend import House
from serving.core.bundles import Served, open_bundle

if TYPE_CHECKING:
    import bentoml

log = logging.getLogger(__name__)

GC_THRESHOLDS = (50_000, 50, 50)
"""A request makes few cycles: looking for them rarely takes the collector's pauses out of the slowest answers."""
SWITCH_SECONDS = 0.001
"""How long one thread may keep the interpreter from another: none must wait 5 ms for each of its turns."""

ALLOW = "Serve a bundle that has passed no gate, or whose audit is missing or altered; every answer says so."

Furnish = Callable[[Served, LabParams], House]
"""Makes ready what an API's routes need. Raises UserError."""


def furnish(app: Starlette, lab: str, make: Furnish, also: tuple[str, ...] = ()) -> None:
    """For `bentoml serve`, which comes straight to the service: opens what the environment names. Raises UserError."""
    if not hasattr(app.state, "house"):
        given = settings()
        app.state.house = _house(lab, make, also, given.serve_bundle, given.serve_allow_unpromoted, None)


def run(service: bentoml.Service[Any], app: Starlette, lab: str, make: Furnish, also: tuple[str, ...] = ()) -> None:
    """The command line of `python -m serving.<lab>`; fails in one line where the bundle or the port can't be had.

    also: other labs whose bundles it serves.
    """

    def main(
        bundle: Annotated[str | None, typer.Option(help="A bundle's folder, or models:/<lab>@champion.")] = None,
        host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
        port: Annotated[
            int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
        ] = None,
        allow_unpromoted: Annotated[bool, typer.Option("--allow-unpromoted", help=ALLOW)] = False,
        params: Annotated[Path | None, typer.Option(help="Parameters, by default the project's params.yaml.")] = None,
    ) -> None:
        os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
        os.environ.setdefault("OTEL_SDK_DISABLED", "true")
        try:
            given = settings()
            logs.configure(given.log_level)
            allowed = allow_unpromoted or given.serve_allow_unpromoted
            house = app.state.house = _house(lab, make, also, bundle or given.serve_bundle, allowed, params)
            listener = _listen(host or given.serve_host, given.serve_port if port is None else port)
        except UserError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        log.info("listening", extra={"fields": {"port": listener.getsockname()[1]}})
        config = uvicorn.Config(
            lean(service),
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=5,
        )
        _tune_interpreter()
        Server(config, house).run(sockets=[listener])

    main.__doc__ = (
        f"Serves the {lab} API; what is not given is SERVE_BUNDLE, SERVE_HOST, SERVE_PORT and SERVE_ALLOW_UNPROMOTED."
    )
    typer.run(main)


def lean(service: bentoml.Service[Any]) -> Starlette:
    """BentoML's application without two of its middlewares, a fifth of a short request's time.

    Tracing looks at every event of every request though it is switched off. The timeout keeps every request in memory
    until its minute is over, answered or not: 180 ms pauses of the collector. The door and the routes have their own.
    """
    from bentoml._internal.server.http.traffic import TimeoutMiddleware
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    application: Starlette = service.to_asgi(is_main=False)
    unwanted: tuple[Any, ...] = (TimeoutMiddleware, OpenTelemetryMiddleware)
    application.user_middleware = [used for used in application.user_middleware if used.cls not in unwanted]
    return application


class Server(uvicorn.Server):
    """Drains on the first SIGTERM: new work gets 503, /readyz too, and it ends when the last answer is delivered."""

    def __init__(self, config: uvicorn.Config, house: House) -> None:
        super().__init__(config)
        self._work = house.work
        self._ticks_left = 10 * house.limits.drain_seconds  # uvicorn ticks ten times a second

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._work.draining:
            self.should_exit = True
        self._work.draining = True

    async def on_tick(self, counter: int) -> bool:
        if self._work.draining:
            self._ticks_left -= 1
            self.should_exit |= self._work.taken == 0 or self._ticks_left <= 0
        return await super().on_tick(counter)


def _house(
    lab: str, make: Furnish, also: tuple[str, ...], bundle: str, allow_unpromoted: bool, params: Path | None
) -> House:
    given = load(lab, params or project_root() / "params.yaml")
    with open_bundle(bundle or f"models:/{lab}@champion", lab, allow_unpromoted, also) as served:
        house = make(served, given)
        house.metrics.describe(served)
        return house


def _tune_interpreter() -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port") from None

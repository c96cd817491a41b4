"""The music API as a BentoML service: `python -m serving.music --help`.

BentoML brings the service's life (start, readiness, stop) and its packaging; the routes are in `serving.tunes.api`, and
`serving.limits.Door` stands in front of both.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import bentoml
import typer
import uvicorn

from components.errors import UserError
from components.params import load
from components.settings import project_root, settings
from serving import logs
from serving.bundles import open_bundle
from serving.limits import Door
from serving.tunes import api
from serving.tunes.house import House

LAB = "music"
GC_THRESHOLDS = (50_000, 50, 50)
"""A request makes few cycles: looking for them rarely takes the collector's pauses out of the slowest answers."""
SWITCH_SECONDS = 0.001
"""How long one thread may keep the interpreter from the other: the generator must not wait 5 ms for each block."""

app = api.application()


def furnish(bundle: str, allow_unpromoted: bool, params: Path | None = None) -> House:
    """Opens the bundle and makes ready what the routes need. Raises UserError."""
    limits = load(LAB, params or project_root() / "params.yaml").serve
    with open_bundle(bundle, LAB, allow_unpromoted) as served:
        house = app.state.house = House(served, limits)
    return house


class Music:
    """Irish folk tunes in ABC notation."""

    def __init__(self) -> None:
        # `bentoml serve` comes straight here; `main` has furnished the house, to fail in one line if it could not.
        if not hasattr(app.state, "house"):
            furnish(settings().serve_bundle, settings().serve_allow_unpromoted)
        self.house: House = app.state.house

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def start(self) -> None:
        self.house.batcher.start()

    async def __is_alive__(self) -> bool:
        return not self.house.batcher.failed

    async def __is_ready__(self) -> bool:
        return not (self.house.batcher.failed or self.house.batcher.draining)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        self.house.batcher.stop()
        self.house.player.stop()


service: bentoml.Service[Music] = bentoml.service(
    name=LAB,
    metrics={"enabled": False},  # they take any path that is asked for as a label
    logging={"access": {"enabled": False}},  # it repeats the door's
)(bentoml.asgi_app(app, path="/")(Music))
service.add_asgi_middleware(Door, rules=lambda: app.state.house.rules)


class Server(uvicorn.Server):
    """Drains on the first SIGTERM: new tunes get 503, /readyz too, and it ends when the last tune is delivered."""

    def __init__(self, config: uvicorn.Config, house: House) -> None:
        super().__init__(config)
        self._house = house
        self._ticks_left = 10 * house.limits.drain_seconds  # uvicorn ticks ten times a second

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._house.batcher.draining:
            self.should_exit = True
        self._house.batcher.draining = True

    async def on_tick(self, counter: int) -> bool:
        if self._house.batcher.draining:
            self._ticks_left -= 1
            self.should_exit |= self._house.batcher.taken == 0 or self._ticks_left <= 0
        return await super().on_tick(counter)


def main(
    bundle: Annotated[str | None, typer.Option(help="A bundle's folder, or models:/music@champion.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = None,
    allow_unpromoted: Annotated[
        bool, typer.Option("--allow-unpromoted", help="Serve a bundle that has passed no gate; every answer says so.")
    ] = False,
    params: Annotated[Path | None, typer.Option(help="Parameters, by default the project's params.yaml.")] = None,
) -> None:
    """Serves the music API; what is not given is SERVE_BUNDLE, SERVE_HOST, SERVE_PORT and SERVE_ALLOW_UNPROMOTED."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    os.environ.setdefault("OTEL_SDK_DISABLED", "true")
    try:
        given = settings()
        logs.configure(given.log_level)
        house = furnish(bundle or given.serve_bundle, allow_unpromoted or given.serve_allow_unpromoted, params)
        listener = _listen(host or given.serve_host, given.serve_port if port is None else port)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    config = uvicorn.Config(
        service.to_asgi(is_main=False),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=5,
    )
    _tune_interpreter()
    Server(config, house).run(sockets=[listener])


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


if __name__ == "__main__":
    typer.run(main)

"""The generation API with routes that fail, never answer or answer at length: `python -m tests.serving.core.odd_api`.

Everything between a socket and these routes is what every API has.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from components.config import PictureLimits
from components.labs import find
from components.params import load
from components.settings import project_root
from serving.core.pictures import Picture, decode, open_picture
from serving.core.server import run
from serving.core.service import ApiDefinition
from serving.core.uploads import one_picture
from serving.generation.backend import GenerationBackend
from serving.generation.service import API
from tests.serving.servers import Server, running, write_params

SECRET = "the password is sesame"


async def fail(_: Request) -> Response:
    raise RuntimeError(SECRET)


async def fail_late(_: Request) -> Response:
    async def pieces() -> AsyncGenerator[bytes]:
        yield b"the beginning"
        raise RuntimeError(SECRET)

    return StreamingResponse(pieces())


async def answer(request: Request) -> Response:
    """So many bytes."""
    return Response(bytes(int(request.query_params["bytes"])), media_type="audio/wav")


async def never(_: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError


async def forever(_: Request) -> Response:
    async def pieces() -> AsyncGenerator[bytes]:
        while True:
            yield b"more"
            await asyncio.sleep(0.01)

    return StreamingResponse(pieces())


async def picture(request: Request) -> Response:
    """The size of a picture, which is decoded as the APIs that take pictures do."""
    limits = load(find("faces"), project_root() / "params.yaml").serve
    assert isinstance(limits, PictureLimits)
    opened = open_picture(await one_picture(request), limits)
    backend: OddBackend = request.app.state.backend
    return Response(str(await backend.worker.run(decoded_size, opened)))


def decoded_size(opened: Picture) -> tuple[int, int]:
    return decode(opened, (64, 64)).size


ROUTES = {"/fail": fail, "/fail-late": fail_late, "/answer": answer, "/never": never, "/forever": forever}


class OddBackend(GenerationBackend):
    """It lets the routes through."""

    def _route(self, path: str) -> str | None:
        return path if path in (*ROUTES, "/picture") else super()._route(path)


@contextmanager
def odd_server(bundle: Path, folder: Path, **limits: Any) -> Iterator[Server]:
    """A server of these routes."""
    params = write_params(folder, **limits)
    options = ("--bundle", str(bundle), "--port", "0", "--allow-unpromoted", "--params", str(params))
    with running([sys.executable, "-m", "tests.serving.core.odd_api", *options], folder) as server:
        yield server


if __name__ == "__main__":
    odd = [*(Route(path, route) for path, route in ROUTES.items()), Route("/picture", picture, methods=["POST"])]
    run(ApiDefinition("generation", OddBackend, [*API.routes, *odd]))

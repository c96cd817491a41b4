"""All labs on one port, for a laptop: each below its name, and above them a page that lists them.

One process holds them all: each model is small, and what a process costs is Python and its libraries. In production
each API has a process, and a pod, of its own.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated

import typer
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components.errors import UserError
from components.labs import find
from components.settings import settings
from serving.core import server
from serving.core.backend import Backend
from serving.core.champions import LabSummary, LoadedLab, load_labs
from serving.core.problems import NO_SNIFF, as_refusal
from serving.core.service import make_service
from serving.page import page


def main(
    bundle: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAB=FOLDER", help="Served in place of the lab's champion; may be given for several labs."
        ),
    ] = None,
    host: server.Host = None,
    port: server.Port = None,
    allow_unpromoted: server.AllowUnpromoted = False,
    params: server.Params = None,
) -> None:
    """Serves every lab that has a champion, each below its name, and a page at / that lists them.

    `python -m serving LAB` serves one.
    """

    def load() -> tuple[ASGIApp, list[Backend]]:
        given = settings()
        if given.serve_bundle:
            raise UserError("SERVE_BUNDLE is one lab's: name the lab, as in `python -m serving music`")
        if given.serve_shadow:
            raise UserError("SERVE_SHADOW is one lab's: name the lab, as in `python -m serving digits`")
        bundles = dict(_assignment(each) for each in bundle or ())
        labs = list(load_labs(bundles, allow_unpromoted or given.serve_allow_unpromoted, params))
        return application(labs), [lab.backend for lab in labs if lab.backend]

    server.serve(load, host, port, params)


def application(labs: Sequence[LoadedLab]) -> ASGIApp:
    """The front page, and the labs that are served."""
    apps = {
        lab.summary.name: server.lean(make_service(lab.api, lab.backend)) for lab in labs if lab.api and lab.backend
    }
    return Labs(_front([lab.summary for lab in labs], [lab.backend for lab in labs if lab.backend], apps), apps)


class Labs:
    """ASGI: what is below a lab's name goes to the lab's application, which sees itself at the root; the rest to the
    front page's."""

    def __init__(self, front: Starlette, labs: Mapping[str, ASGIApp]) -> None:
        self._front = front
        self._labs = labs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, slash, rest = scope.get("path", "").removeprefix("/").partition("/")
        if scope["type"] != "http" or name not in self._labs:
            await self._front(scope, receive, _not_sniffed(send))
        elif not slash:
            await RedirectResponse(f"{name}/")(scope, receive, send)  # a page's own addresses are relative
        else:
            own = {key: value for key, value in scope.items() if key != "raw_path"}
            await self._labs[name]({**own, "path": f"/{rest}"}, receive, send)


def _front(summaries: Sequence[LabSummary], backends: Sequence[Backend], apps: Mapping[str, Starlette]) -> Starlette:
    listed = json.dumps([summary.model_dump() for summary in summaries])
    pages = page("front")

    async def labs(_: Request) -> Response:
        return Response(listed, media_type="application/json")

    async def livez(_: Request) -> Response:
        return _probe(all(backend.alive for backend in backends))

    async def readyz(_: Request) -> Response:
        return _probe(all(backend.ready for backend in backends))

    async def refuse(_: Request, error: Exception) -> Response:
        return as_refusal(error, retry_after=0).response(uuid.uuid4().hex)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for app in apps.values():
                await stack.enter_async_context(app.router.lifespan_context(app))
            yield

    return Starlette(
        routes=[
            Route("/labs.json", labs),
            Route("/livez", livez),
            Route("/readyz", readyz),
            *(Route(path, pages, methods=["GET"]) for path in ("/", "/static/{path:path}")),
        ],
        exception_handlers={HTTPException: refuse},
        lifespan=lifespan,
    )


def _not_sniffed(send: Send) -> Send:
    async def with_header(message: Message) -> None:
        if message["type"] == "http.response.start" and NO_SNIFF not in message["headers"]:
            message = {**message, "headers": [*message["headers"], NO_SNIFF]}
        await send(message)

    return with_header


def _probe(well: bool) -> Response:
    return PlainTextResponse("\n", 200 if well else 503)


def _assignment(text: str) -> tuple[str, str]:
    lab, equals, reference = text.partition("=")
    if not equals or not reference:
        raise UserError(f"--bundle {text}: write LAB=FOLDER, such as music=build/music/export")
    return find(lab).name, reference

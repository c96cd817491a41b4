"""The pages a person uses: their files, and the headers that keep everybody else's scripts out of them."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
ABCJS = FOLDER / "node_modules" / "abcjs" / "dist"
"""What `npm ci` puts there. Without it the music page works, and says that it can't draw sheet music."""

ABCJS_STYLES = "'unsafe-hashes' 'sha256-BCpnf71gZdCsSCHDzyB1RsBbZ0qQdqseK6v+yJsgg30='"
"""Lets through the one style attribute that abcjs sets. It moves with abcjs's version: a test says so."""

HEADERS = {
    # Nothing comes from anywhere but this server; blob: is a sound it sent, or a picture of the visitor's own.
    "content-security-policy": "default-src 'self'; media-src 'self' blob:; img-src 'self' blob:; object-src 'none'; "
    f"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; style-src 'self' {ABCJS_STYLES}",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",  # asked again each time and answered 304: never an old page on a new server
}


def page(lab: str) -> Starlette:
    """Serves a lab's page at `/`, its files at `/static/`, and what the pages share at `/static/shared/`."""
    html = render(lab)

    async def index(_: Request) -> HTMLResponse:
        return HTMLResponse(html)

    return Starlette(
        routes=[
            Route("/", index),
            Mount("/static/abcjs", StaticFiles(directory=ABCJS, check_dir=False)),
            Mount("/static/shared", StaticFiles(directory=STATIC / "shared")),
            Mount("/static", StaticFiles(directory=STATIC / lab)),
        ],
        middleware=[Middleware(_Headers)],
    )


def render(lab: str) -> str:
    """The lab's index.html, a Jinja template, which fills the blocks of shared/layout.html."""
    return fill(f"{lab}/index.html")


def fill(template: str, **values: Any) -> str:
    """A Jinja template below static/, with these values."""
    templates = Environment(
        loader=FileSystemLoader(STATIC),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return templates.get_template(template).render(values)


class _Headers:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)

"""The page a person uses: its files, and the headers that keep everybody else's scripts out of it."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = Path(__file__).parent
ABCJS = FOLDER / "node_modules" / "abcjs" / "dist"
"""What `npm ci` puts there. Without it the page works, and says that it can't draw sheet music."""

ABCJS_STYLES = "'unsafe-hashes' 'sha256-BCpnf71gZdCsSCHDzyB1RsBbZ0qQdqseK6v+yJsgg30='"
"""Lets through the one style attribute that abcjs sets. It moves with abcjs's version: a test says so."""

HEADERS = {
    # Nothing comes from anywhere but this server; blob: is sound that the page got as an answer.
    "content-security-policy": "default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    f"form-action 'self'; frame-ancestors 'none'; style-src 'self' {ABCJS_STYLES}",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",  # asked again each time and answered 304: never an old page on a new server
}


def page() -> Starlette:
    """Serves `/`, `/static/...` and `/static/abcjs/...`."""
    return Starlette(
        routes=[
            Route("/", _index),
            Mount("/static/abcjs", StaticFiles(directory=ABCJS, check_dir=False)),
            Mount("/static", StaticFiles(directory=FOLDER / "static" / "music")),
        ],
        middleware=[Middleware(_Headers)],
    )


async def _index(_: Request) -> FileResponse:
    return FileResponse(FOLDER / "static" / "music" / "index.html")


class _Headers:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)

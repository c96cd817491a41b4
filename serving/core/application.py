"""What the APIs' applications have in common: the routes about the model, the page, and how a refusal is answered.

Routes are Starlette's, mounted in a BentoML service: a `@bentoml.api` method costs four times the CPU of a mounted
route, does not notice that its client has left, and answers errors without naming the field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from serving.core.backend import Backend
from serving.core.problems import REFUSED, as_refusal
from serving.page import HEADERS, page


def application(api: str, routes: Sequence[BaseRoute]) -> Starlette:
    """An API's own routes and those that all have. Who serves them sets `state.backend` before the first request."""
    pages = page(api)
    return Starlette(
        routes=[
            *routes,
            Route("/info", _info),
            Route("/docs.json", _docs),
            Route("/metrics", _metrics),
            # Not a mount at "/": that would answer 404 where a route of ours is asked with another method.
            *(Route(path, pages, methods=["GET"]) for path in ("/", "/static/{path:path}")),
        ],
        exception_handlers=dict.fromkeys(REFUSED, _refuse),
    )


def answer(model: BaseModel) -> Response:
    return Response(model.model_dump_json(), media_type="application/json")


def answer_or_page(request: Request, model: BaseModel, html: Callable[[], str]) -> Response:
    """The answer as JSON, or where a browser asks as the page that `html` makes."""
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(html(), headers=HEADERS)
    return answer(model)


async def _info(request: Request) -> Response:
    return answer(_backend(request).info)


async def _docs(request: Request) -> Response:
    return Response(_backend(request).docs, media_type="application/json")


async def _metrics(request: Request) -> Response:
    return Response(_backend(request).metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _refuse(request: Request, error: Exception) -> Response:
    return as_refusal(error, _backend(request).limits.retry_after_seconds).response(request.state.request_id)


def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend

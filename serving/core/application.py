"""What the APIs' applications have in common: the routes about the model, the page, and how a refusal is answered.

Routes are Starlette's, mounted in the BentoML service: a `@bentoml.api` method costs four times the CPU of a mounted
route, does not notice that its client has left, and answers errors without naming the field.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from serving.core.backend import House
from serving.core.request_guard import BrokenError, DrainingError, FullError, RefusalError, busy
from serving.page import page

REFUSED = (RefusalError, HTTPException, FullError, DrainingError, BrokenError, TimeoutError)
NAMED = 5
"""Wrong fields that a refusal names, at most: a stranger's body may hold thousands."""


def application(lab: str, routes: Sequence[BaseRoute]) -> Starlette:
    """An API's own routes and everybody's. Whoever serves them sets `state.house` before the first request."""
    pages = page(lab)
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


def as_refusal(error: Exception, retry_after: int) -> RefusalError:
    """What a client is told of an error."""
    match error:
        case RefusalError():
            return error
        case HTTPException():
            return RefusalError(error.status_code, error.detail, headers=dict(error.headers or {}))
        case FullError():
            return busy(429, "every place is taken: come back later", retry_after)
        case DrainingError():
            return busy(503, "the server is shutting down", retry_after)
        case BrokenError():
            return busy(503, "the server can do no more work and waits to be restarted", retry_after)
        case TimeoutError():
            return busy(503, "it took too long: the server is busy", retry_after)
    raise error


def refused(error: ValidationError) -> RefusalError:
    """400 where the body is not JSON, else 422 that names the first wrong fields."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[:NAMED]
    if found[0]["type"] == "json_invalid":
        return RefusalError(400, f"the body is not JSON: {found[0]['msg'].removeprefix('Invalid JSON: ')}")
    return wrong_fields([(".".join(map(str, one["loc"])) or "body", one["msg"]) for one in found])


def query_of(request: Request) -> dict[str, str]:
    """The query, by name. Raises RefusalError (422) that names what is given more than once."""
    given = request.query_params.multi_items()
    times = Counter(name for name, _ in given)
    if again := [(name, "given more than once") for name, number in times.items() if number > 1]:
        raise wrong_fields(again)
    return dict(given)


def wrong_fields(errors: Sequence[tuple[str, str]]) -> RefusalError:
    """422. errors: each field and what is wrong with it; the first NAMED of them are said."""
    errors = errors[:NAMED]
    return RefusalError(422, "; ".join(f"{field}: {reason}" for field, reason in errors), errors)


async def _info(request: Request) -> Response:
    return answer(_house(request).info)


async def _docs(request: Request) -> Response:
    return Response(_house(request).docs, media_type="application/json")


async def _metrics(request: Request) -> Response:
    return Response(_house(request).metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _refuse(request: Request, error: Exception) -> Response:
    return as_refusal(error, _house(request).limits.retry_after_seconds).response(request.state.request_id)


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house

"""The routes of the images API; `app.state.house` is what they work with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.gallery.house import ImagesHouse
from serving.gallery.schemas import SamplesQuery, WayQuery
from serving.limits import RefusalError

Query = TypeVar("Query", bound=BaseModel)


async def samples(request: Request) -> Response:
    return await _drawn(request, SamplesQuery, _house(request).samples)


async def way(request: Request) -> Response:
    return await _drawn(request, WayQuery, _house(request).way)


async def _drawn(request: Request, kind: type[Query], draw: Callable[[Query], bytes]) -> Response:
    house = _house(request)
    query = _checked(request, kind)
    async with asyncio.timeout(house.limits.request_seconds):
        return Response(await house.worker.run(draw, query), media_type="image/png")


def _checked(request: Request, kind: type[Query]) -> Query:
    """Raises RefusalError (422) that names the wrong fields."""
    try:
        return kind.model_validate_strings(dict(request.query_params))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[:5]
    errors = [(".".join(map(str, one["loc"])), one["msg"]) for one in found]
    raise RefusalError(422, "; ".join(f"{field}: {reason}" for field, reason in errors), errors)


def _house(request: Request) -> ImagesHouse:
    house: ImagesHouse = request.app.state.house
    return house


ROUTES = [Route("/samples", samples), Route("/interpolation", way)]

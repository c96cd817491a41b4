"""The routes of the images API; `app.state.house` is what they work with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.core.application import query_of, refused
from serving.generation.backend import ImagesHouse

Query = TypeVar("Query", bound=BaseModel)


async def samples(request: Request) -> Response:
    house = _house(request)
    return await _drawn(request, house.samples_query, house.samples)


async def way(request: Request) -> Response:
    house = _house(request)
    return await _drawn(request, house.way_query, house.way)


async def _drawn(request: Request, kind: type[Query], draw: Callable[[Query], bytes]) -> Response:
    house = _house(request)
    query = _checked(request, kind)
    async with asyncio.timeout(house.limits.request_seconds):
        return Response(await house.worker.run(draw, query), media_type="image/png")


def _checked(request: Request, kind: type[Query]) -> Query:
    """Raises RefusalError (422) that names the wrong fields, and those given more than once."""
    try:
        return kind.model_validate_strings(query_of(request))
    except ValidationError as error:
        raise refused(error) from None


def _house(request: Request) -> ImagesHouse:
    house: ImagesHouse = request.app.state.house
    return house


ROUTES = [Route("/samples", samples), Route("/interpolation", way)]

"""The routes of the generation API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.core.parsing import query
from serving.generation.backend import GenerationBackend

Query = TypeVar("Query", bound=BaseModel)


async def samples(request: Request) -> Response:
    backend = _backend(request)
    return await _drawn(request, backend.samples_query, backend.samples)


async def interpolation(request: Request) -> Response:
    backend = _backend(request)
    return await _drawn(request, backend.interpolation_query, backend.interpolation)


async def _drawn(request: Request, kind: type[Query], draw: Callable[[Query], bytes]) -> Response:
    backend, asked = _backend(request), query(request, kind)
    async with asyncio.timeout(backend.limits.request_seconds):
        return Response(await backend.worker.run(draw, asked), media_type="image/png")


def _backend(request: Request) -> GenerationBackend:
    backend: GenerationBackend = request.app.state.backend
    return backend


ROUTES = [Route("/samples", samples), Route("/interpolation", interpolation)]

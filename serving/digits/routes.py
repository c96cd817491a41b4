"""The routes of the digits API."""

from __future__ import annotations

import asyncio

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from components.drift import PICTURE_SIDE
from components.families.classification.features import features
from serving.core import drift_route, shadow_route
from serving.core.application import answer
from serving.core.parsing import JSON, json_body, media_type
from serving.core.pictures import open_picture
from serving.core.shadow import timed
from serving.core.uploads import one_picture
from serving.digits.backend import DigitsBackend
from serving.digits.comparison import readings
from serving.digits.preprocess import refuse_blank
from serving.digits.schemas import ReadAnswer, ReadRequest


async def read(request: Request) -> Response:
    backend: DigitsBackend = request.app.state.backend
    if media_type(request) == JSON:
        image = np.array((await json_body(request, ReadRequest)).image, dtype=np.uint8)
        refuse_blank(float(np.ptp(image)))
        seen = backend.worker.run_here(timed(backend.read), image)
        backend.count(counted(seen.found))
        return backend.beside(answer(seen.found), "/read", seen, lambda other: other.read(image), readings)
    content = await one_picture(request)
    picture = open_picture(content, backend.limits)
    async with asyncio.timeout(backend.limits.request_seconds):
        seen = await backend.worker.run(timed(backend.read_picture), picture)
    backend.count({**counted(seen.found), PICTURE_SIDE: max(picture.size)})

    def candidates(other: DigitsBackend) -> ReadAnswer:
        return other.read_picture(open_picture(content, other.limits))

    return backend.beside(answer(seen.found), "/read", seen, candidates, readings)


def counted(found: ReadAnswer) -> dict[str, float]:
    """The features of the first digit that was read: several of one hand are not so many independent draws."""
    first = found.digits[0]
    distances = None if first.distance is None else np.array([first.distance])
    of_one = features(np.array([first.image]), np.array([first.probability]), distances)
    return {name: float(values[0]) for name, values in of_one.items()}


ROUTES = [Route("/read", read, methods=["POST"]), drift_route.ROUTE, shadow_route.ROUTE]

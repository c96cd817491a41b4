"""The routes of the digits API."""

from __future__ import annotations

import asyncio

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.core.application import answer
from serving.core.parsing import JSON, json_body, media_type
from serving.core.pictures import open_picture
from serving.core.uploads import one_picture
from serving.digits.backend import DigitsBackend
from serving.digits.preprocess import refuse_blank
from serving.digits.schemas import ReadRequest


async def read(request: Request) -> Response:
    backend: DigitsBackend = request.app.state.backend
    if media_type(request) == JSON:
        image = np.array((await json_body(request, ReadRequest)).image, dtype=np.uint8)
        refuse_blank(float(np.ptp(image)))
        return answer(backend.worker.run_here(backend.read, image))
    picture = open_picture(await one_picture(request), backend.limits)
    async with asyncio.timeout(backend.limits.request_seconds):
        return answer(await backend.worker.run(backend.read_picture, picture))


ROUTES = [Route("/read", read, methods=["POST"])]

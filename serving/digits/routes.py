"""The routes of the digits API; `app.state.house` is what they work with."""

from __future__ import annotations

import asyncio

import numpy as np
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.core.application import answer, refused
from serving.core.pictures import open_picture
from serving.core.uploads import one_picture
from serving.digits.backend import DigitsHouse
from serving.digits.preprocess import refuse_blank
from serving.digits.schemas import ReadRequest


async def read(request: Request) -> Response:
    house: DigitsHouse = request.app.state.house
    if request.headers.get("content-type", "").split(";")[0].strip().lower() == "application/json":
        image = np.array(_check(await request.body()).image, dtype=np.uint8)
        refuse_blank(float(np.ptp(image)))
        return answer(house.worker.run_here(house.read, image))
    picture = open_picture(await one_picture(request), house.limits.max_pixels)
    async with asyncio.timeout(house.limits.request_seconds):
        return answer(await house.worker.run(house.see, picture))


def _check(body: bytes) -> ReadRequest:
    """Raises RefusalError that names the first wrong fields."""
    try:
        return ReadRequest.model_validate_json(body)
    except ValidationError as error:
        raise refused(error) from None


ROUTES = [Route("/read", read, methods=["POST"])]

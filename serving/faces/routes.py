"""The routes of the faces API; `app.state.house` is what they work with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.core.application import answer
from serving.core.pictures import Picture
from serving.core.request_guard import RefusalError
from serving.core.uploads import one_picture, several_pictures
from serving.faces.backend import FacesHouse, Papers
from serving.faces.schemas import (
    ClassifyAnswer,
    ClassifyBatchAnswer,
    DetectAnswer,
    DetectBatchAnswer,
)

T = TypeVar("T")

REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""The report holds its own styles and pictures, and needs nothing else."""


async def classify(request: Request) -> Response:
    house = _house(request)
    picture = house.eye.open(await one_picture(request))
    if picture.width * picture.height <= house.limits.quick_pixels:
        found = house.worker.run_here(house.eye.classify, picture)
    else:
        found = await _look(house, house.eye.classify, picture)
    return answer(ClassifyAnswer(**dict(found), threshold=house.eye.threshold, model=house.origin))


async def classify_batch(request: Request) -> Response:
    house = _house(request)
    results = await _look_at_all(request, house.eye.classify)
    return answer(ClassifyBatchAnswer(results=results, threshold=house.eye.threshold, model=house.origin))


async def detect(request: Request) -> Response:
    house = _house(request)
    found = await _look(house, house.eye.detect, house.eye.open(await one_picture(request)))
    return answer(DetectAnswer(**dict(found), threshold=house.eye.detection_threshold, model=house.origin))


async def detect_batch(request: Request) -> Response:
    house = _house(request)
    results = await _look_at_all(request, house.eye.detect)
    return answer(DetectBatchAnswer(results=results, threshold=house.eye.detection_threshold, model=house.origin))


async def audit(request: Request) -> Response:
    """JSON, or the report as a page where a browser asks."""
    papers = _papers(request)
    if "text/html" in request.headers.get("accept", ""):
        return Response(papers.report, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})
    return answer(papers.answer)


async def card(request: Request) -> Response:
    return Response(_papers(request).card, media_type="text/markdown")


async def _look(house: FacesHouse, see: Callable[[Picture], T], picture: Picture) -> T:
    async with asyncio.timeout(house.limits.request_seconds):
        return await house.worker.run(see, picture)


async def _look_at_all(request: Request, see: Callable[[Picture], T]) -> list[T]:
    """All or nothing: a refusal names every file that can't be looked at."""
    house = _house(request)
    results, errors, worst = [], [], 0
    async with asyncio.timeout(house.limits.request_seconds):
        # One after another, so that other requests have their turn in between.
        for number, content in enumerate(await several_pictures(request, house.limits.max_files)):
            try:
                results.append(await house.worker.run(see, house.eye.open(content)))
            except RefusalError as refusal:
                errors.append((f"files.{number}", refusal.detail))
                worst = refusal.status
    if errors:
        raise RefusalError(worst, f"{len(errors)} of the files can't be looked at", errors)
    return results


def _papers(request: Request) -> Papers:
    papers = _house(request).papers
    if papers is None:
        raise RefusalError(404, "no audit of this model was decided on: it is served because somebody asked for it")
    return papers


def _house(request: Request) -> FacesHouse:
    house: FacesHouse = request.app.state.house
    return house


ROUTES = [
    Route("/classify", classify, methods=["POST"]),
    Route("/classify/batch", classify_batch, methods=["POST"]),
    Route("/detect", detect, methods=["POST"]),
    Route("/detect/batch", detect_batch, methods=["POST"]),
    Route("/audit", audit),
    Route("/card", card),
]

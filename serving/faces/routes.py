"""The routes of the faces API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.core import drift_route, shadow_route
from serving.core.application import answer
from serving.core.pictures import Picture
from serving.core.problems import RefusalError
from serving.core.shadow import Timed, timed
from serving.core.uploads import one_picture, several_pictures
from serving.faces.audit_records import AuditRecords
from serving.faces.backend import FacesBackend
from serving.faces.comparison import classifications, detections
from serving.faces.schemas import (
    Classification,
    ClassifyAnswer,
    ClassifyBatchAnswer,
    DetectAnswer,
    DetectBatchAnswer,
    Detection,
)

T = TypeVar("T")

REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""The report holds its own styles and pictures, and needs nothing else."""


async def classify(request: Request) -> Response:
    backend = _backend(request)
    content = await one_picture(request)
    picture, look = backend.detector.open(content), timed(backend.detector.classify)
    if picture.pixels <= backend.limits.quick_pixels and not picture.slow:
        (found, features), seconds = backend.worker.run_here(look, picture)
    else:
        (found, features), seconds = await _look(backend, look, picture)
    backend.count(features)
    answered = answer(ClassifyAnswer(**dict(found), threshold=backend.detector.threshold, model=backend.origin))

    def candidates(other: FacesBackend) -> Classification:
        return other.detector.classify(other.detector.open(content))[0]

    return backend.beside(answered, "/classify", Timed(found, seconds), candidates, classifications)


async def classify_batch(request: Request) -> Response:
    backend = _backend(request)
    looked_at = await _look_at_all(request, backend.detector.classify)
    for _, features in looked_at:
        backend.count(features)
    results = [found for found, _ in looked_at]
    return answer(ClassifyBatchAnswer(results=results, threshold=backend.detector.threshold, model=backend.origin))


async def detect(request: Request) -> Response:
    backend = _backend(request)
    content = await one_picture(request)
    seen = await _look(backend, timed(backend.detector.detect), backend.detector.open(content))
    threshold = backend.detector.detection_threshold
    answered = answer(DetectAnswer(**dict(seen.found), threshold=threshold, model=backend.origin))

    def candidates(other: FacesBackend) -> Detection:
        return other.detector.detect(other.detector.open(content))

    return backend.beside(answered, "/detect", seen, candidates, detections)


async def detect_batch(request: Request) -> Response:
    backend = _backend(request)
    results = await _look_at_all(request, backend.detector.detect)
    return answer(
        DetectBatchAnswer(results=results, threshold=backend.detector.detection_threshold, model=backend.origin)
    )


async def audit(request: Request) -> Response:
    """JSON, or the report as a page where a browser asks."""
    records = _audit_records(request)
    if "text/html" in request.headers.get("accept", ""):
        return Response(records.report, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})
    return answer(records.answer)


async def card(request: Request) -> Response:
    return Response(_audit_records(request).card, media_type="text/markdown")


async def _look(backend: FacesBackend, look: Callable[[Picture], T], picture: Picture) -> T:
    async with asyncio.timeout(backend.limits.request_seconds):
        return await backend.worker.run(look, picture)


async def _look_at_all(request: Request, look: Callable[[Picture], T]) -> list[T]:
    """All or nothing: a refusal names every file that can't be looked at."""
    backend = _backend(request)
    results, errors, worst = [], [], 0
    async with asyncio.timeout(backend.limits.request_seconds):
        # One after another, so that other requests have their turn in between.
        for number, content in enumerate(await several_pictures(request, backend.limits.max_files)):
            try:
                results.append(await backend.worker.run(look, backend.detector.open(content)))
            except RefusalError as refusal:
                errors.append((f"files.{number}", refusal.detail))
                worst = refusal.status
    if errors:
        raise RefusalError(worst, f"{len(errors)} of the files can't be looked at", errors)
    return results


def _audit_records(request: Request) -> AuditRecords:
    records = _backend(request).audit_records
    if records is None:
        raise RefusalError(404, "no audit of this model was decided on: it is served because somebody asked for it")
    return records


def _backend(request: Request) -> FacesBackend:
    backend: FacesBackend = request.app.state.backend
    return backend


ROUTES = [
    Route("/classify", classify, methods=["POST"]),
    Route("/classify/batch", classify_batch, methods=["POST"]),
    Route("/detect", detect, methods=["POST"]),
    Route("/detect/batch", detect_batch, methods=["POST"]),
    Route("/audit", audit),
    Route("/card", card),
    drift_route.ROUTE,
    shadow_route.ROUTE,
]

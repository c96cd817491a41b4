"""The routes of the transfer API."""

from __future__ import annotations

import asyncio

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.core.application import answer
from serving.core.parsing import query
from serving.core.problems import RefusalError
from serving.core.uploads import named_pictures, one_picture
from serving.transfer.backend import TransferBackend
from serving.transfer.schemas import ClassifyQuery, ForgetAnswer, TaughtQuery


async def classify(request: Request) -> Response:
    backend = _backend(request)
    asked = query(request, ClassifyQuery)
    taught = backend.taught.find(asked.taught) if asked.taught else None
    picture = backend.open(await one_picture(request))
    async with asyncio.timeout(backend.limits.request_seconds):
        return answer(await backend.worker.run(backend.classify, picture, taught))


async def teach(request: Request) -> Response:
    """All or nothing: a refusal names every file that can't be looked at."""
    backend = _backend(request)
    pairs = await named_pictures(request, backend.limits.max_files)
    names = [name for name, _ in pairs]
    backend.check_categories(names)
    features, errors, worst = [], [], 0
    async with asyncio.timeout(backend.limits.request_seconds):
        # One after another, so that other requests have their turn in between.
        for number, (name, content) in enumerate(pairs):
            try:
                features.append(await backend.worker.run(backend.features, backend.open(content)))
            except RefusalError as refusal:
                errors.append((f"{name}.{number}", refusal.detail))
                worst = refusal.status
        if errors:
            raise RefusalError(worst, f"{len(errors)} of the files can't be looked at", errors)
        return answer(await backend.worker.run(backend.teach, names, np.stack(features)))


async def forget(request: Request) -> Response:
    asked = query(request, TaughtQuery)
    _backend(request).taught.forget(asked.taught)
    return answer(ForgetAnswer(forgotten=asked.taught))


def _backend(request: Request) -> TransferBackend:
    backend: TransferBackend = request.app.state.backend
    return backend


ROUTES = [
    Route("/classify", classify, methods=["POST"]),
    Route("/teach", teach, methods=["POST"]),
    Route("/teach", forget, methods=["DELETE"]),
]

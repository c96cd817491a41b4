"""The routes of the uncertainty API."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.core.application import answer
from serving.core.parsing import json_body
from serving.uncertainty.backend import UncertaintyBackend


async def predict(request: Request) -> Response:
    backend, name = _asked(request)
    asked = (await json_body(request, backend.requests[name].one)).model_dump()
    return answer(backend.worker.run_here(backend.predict, name, asked["features"]))


async def predict_rows(request: Request) -> Response:
    backend, name = _asked(request)
    asked = (await json_body(request, backend.requests[name].many)).model_dump()
    async with asyncio.timeout(backend.limits.request_seconds):
        return answer(await backend.worker.run(backend.predict_rows, name, asked["rows"]))


def _asked(request: Request) -> tuple[UncertaintyBackend, str]:
    """The backend, and the set that the path names; other names are no paths of the API's description."""
    backend: UncertaintyBackend = request.app.state.backend
    return backend, request.path_params["name"]


ROUTES = [
    Route("/predict/{name}", predict, methods=["POST"]),
    Route("/predict/{name}/batch", predict_rows, methods=["POST"]),
]

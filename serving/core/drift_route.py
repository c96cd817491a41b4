"""GET /drift of the APIs that count their requests: JSON, or a page where a browser asks."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.core.application import answer_or_page
from serving.core.backend import Backend
from serving.core.drift import DriftAnswer
from serving.core.openapi import PROBLEMS, Json, json_of, operation
from serving.core.problems import RefusalError
from serving.page import fill


async def drift(request: Request) -> Response:
    backend: Backend = request.app.state.backend
    if backend.drift is None:
        raise RefusalError(404, "this bundle brings nothing to compare requests with: evaluate and promote it again")
    found = backend.drift.answer()
    return answer_or_page(request, found, lambda: page(found))


def page(found: DriftAnswer) -> str:
    return fill("shared/drift.html", drift=found)


def path() -> Json:
    """Its entry in an API's description, which names DriftAnswer among its types."""
    content = {**json_of(DriftAnswer.__name__), "text/html": {"schema": {"type": "string"}}}
    summary = "Whether requests are like the data that the model was measured on, from counts that keep no request"
    return {"/drift": {"get": operation("drift", summary, content, problems={404: PROBLEMS[404]})}}


ROUTE = Route("/drift", drift, methods=["GET"])

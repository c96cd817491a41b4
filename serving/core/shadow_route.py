"""GET /shadow of the APIs that can compare a candidate with what they serve: JSON, or a page where a browser asks."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.core.application import answer_or_page
from serving.core.backend import Backend
from serving.core.openapi import PROBLEMS, Json, json_of, operation
from serving.core.problems import RefusalError
from serving.core.shadow import ShadowAnswer
from serving.page import fill


async def shadow(request: Request) -> Response:
    backend: Backend = request.app.state.backend
    if backend.shadow is None:
        raise RefusalError(404, "no candidate is compared with this model: start the server with --shadow")
    found = backend.shadow.answer()
    return answer_or_page(request, found, lambda: fill("shared/shadow.html", shadow=found))


def path() -> Json:
    """Its entry in an API's description, which names ShadowAnswer among its types."""
    content = {**json_of(ShadowAnswer.__name__), "text/html": {"schema": {"type": "string"}}}
    summary = "How a candidate's answers differ from the served model's, from sums that keep no request"
    return {"/shadow": {"get": operation("shadow", summary, content, problems={404: PROBLEMS[404]})}}


ROUTE = Route("/shadow", shadow, methods=["GET"])

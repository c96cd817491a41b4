"""A file of a form never touches the disk."""

from __future__ import annotations

import tempfile
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from serving.core.uploads import several_pictures


def test_a_large_file_of_a_form_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sizes(request: Request) -> Response:
        return Response(" ".join(str(len(content)) for content in await several_pictures(request, 2)))

    def to_disk(*_: Any, **__: Any) -> None:
        raise AssertionError("a photograph was about to be written to a file")

    client = TestClient(Starlette(routes=[Route("/", sizes, methods=["POST"])]))
    files = [("file", ("a.jpg", bytes(5_000_000))), ("file", ("b.jpg", bytes(3)))]
    monkeypatch.setattr(tempfile, "TemporaryFile", to_disk)
    assert client.post("/", files=files).text == "5000000 3"

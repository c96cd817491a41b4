"""Files come as the whole body or in a form, and what is none is refused; a file of a form never touches the disk."""

from __future__ import annotations

import tempfile
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from serving.core.problems import RefusalError
from serving.core.uploads import named_pictures, one_picture, several_pictures


def test_a_large_file_of_a_form_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sizes(request: Request) -> Response:
        return Response(" ".join(str(len(content)) for content in await several_pictures(request, 2)))

    def to_disk(*_: Any, **__: Any) -> None:
        raise AssertionError("a photograph was about to be written to a file")

    client = TestClient(Starlette(routes=[Route("/", sizes, methods=["POST"])]))
    files = [("file", ("a.jpg", bytes(5_000_000))), ("file", ("b.jpg", bytes(3)))]
    monkeypatch.setattr(tempfile, "TemporaryFile", to_disk)
    assert client.post("/", files=files).text == "5000000 3"


PNG = {"content-type": "image/png"}
FORM = {"content-type": "multipart/form-data; boundary=x"}
TEXT = b'--x\r\nContent-Disposition: form-data; name="photo"\r\n\r\nhttp://127.0.0.1/a.jpg\r\n--x--\r\n'


def file(number: int, name: str = "file") -> tuple[str, tuple[str, bytes]]:
    return name, (f"{number}.jpg", bytes([number]))


@pytest.mark.parametrize(
    ("path", "sent", "answer"),
    [
        ("/one", {"content": b"abc", "headers": PNG}, "[b'abc']"),
        ("/one", {"content": b""}, "[b'']"),
        ("/one", {"content": b"abc", "headers": {"content-type": "Image/PNG; a=b"}}, "[b'abc']"),
        ("/one", {"files": [file(1)]}, "[b'\\x01']"),
        ("/several", {"files": [file(1), file(2), file(3)]}, "[b'\\x01', b'\\x02', b'\\x03']"),
        ("/named", {"files": [file(1, "cat"), file(2, "dog")]}, "[('cat', b'\\x01'), ('dog', b'\\x02')]"),
        ("/one", {"files": [file(1), file(2)]}, "422 at most 1 picture here"),
        ("/several", {"files": [*map(file, range(4))]}, "422 at most 3 pictures here"),
        ("/several", {"content": b"abc", "headers": PNG}, "415 several pictures are sent as multipart/form-data"),
        ("/named", {"content": b"abc", "headers": PNG}, "415 named pictures are sent as multipart/form-data"),
        ("/one", {"content": TEXT, "headers": FORM}, "422 a field of the form is text, and no address is fetched"),
        ("/one", {"content": b"--x--\r\n", "headers": FORM}, "400 there is no picture in the form: send the file"),
        ("/one", {"content": b"abc", "headers": {"content-type": "multipart/form-data"}}, "400 the form can't be read"),
        ("/one", {"content": b"--y\r\n", "headers": FORM}, "400 the form can't be read"),
    ],
)
def test_what_is_sent_is_files_or_a_refusal(path: str, sent: dict[str, Any], answer: str) -> None:
    async def one(request: Request) -> Response:
        return Response(str([await one_picture(request)]))

    async def several(request: Request) -> Response:
        return Response(str(await several_pictures(request, 3)))

    async def named(request: Request) -> Response:
        return Response(str(await named_pictures(request, 3)))

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, RefusalError)
        assert [field for field, _ in error.errors] == (["photo"] if "text" in error.detail else [])
        return Response(f"{error.status} {error.detail}")

    routes = [Route(at, to, methods=["POST"]) for at, to in (("/one", one), ("/several", several), ("/named", named))]
    client = TestClient(Starlette(routes=routes, exception_handlers={RefusalError: refused}))
    assert client.post(path, **sent).text.startswith(answer)

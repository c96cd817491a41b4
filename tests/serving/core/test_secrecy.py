"""What an answer does not tell, and where a server does not go."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.core.odd_api import SECRET, odd_server
from tests.serving.servers import Server, running


@pytest.fixture(scope="module")
def server(generation_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with odd_server(generation_bundle, tmp_path_factory.mktemp("server")) as running:
        yield running


def test_a_500_says_where_the_reason_is_and_not_what_it_is(server: Server) -> None:
    answer = server.client.get("/fail")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "title": "Internal Server Error",
        "status": 500,
        "detail": "internal error: the server's log has it under this request id",
        "errors": [],
        "request_id": answer.headers["x-request-id"],
    }
    told = answer.text + str(answer.headers)
    assert not any(word in told for word in (SECRET, "Traceback", "RuntimeError", ".py"))
    server.wait_for_log('"status": 500')
    lines = [json.loads(line) for line in server.log().splitlines()]
    own = [line for line in lines if line.get("request_id") == answer.headers["x-request-id"]]
    (logged,) = [line for line in own if "traceback" in line]
    assert SECRET in logged["traceback"]


def test_a_failure_in_the_middle_of_an_answer_breaks_it_off_and_tells_nothing(server: Server) -> None:
    received = b""
    with pytest.raises(httpx.RemoteProtocolError), server.client.stream("GET", "/fail-late") as answer:
        for piece in answer.iter_raw():
            received += piece
    assert received == b"the beginning"
    server.wait_for_log("answer cut off")


@pytest.mark.parametrize(
    "path",
    [
        *("/info", "/samples?seed=1&count=1", "/livez", "/readyz", "/metrics", "/docs.json", "/", "/nope", "/fail"),
        *("/static/shared/page.css", "/samples?seed=none"),
    ],
)
def test_every_answer_forbids_to_guess_its_type(server: Server, path: str) -> None:
    assert server.client.get(path).headers.get_list("x-content-type-options") == ["nosniff"]


def test_the_front_page_of_all_labs_forbids_it_too(tmp_path: Path) -> None:
    nowhere = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/none.db", "SERVE_BUNDLE": ""}
    arguments = [sys.executable, "-m", "serving", "--port", "0"]
    with running(arguments, tmp_path, environment=nowhere) as server:
        for path in ("/", "/labs.json", "/livez", "/nope", "/static/shared/page.css"):
            assert server.client.get(path).headers.get_list("x-content-type-options") == ["nosniff"], path


def test_no_address_that_is_sent_is_ever_fetched(server: Server) -> None:
    """Somebody listens there, and would notice: a refusal alone does not say that nothing was asked."""
    with listening() as (address, visits):
        requests: list[dict[str, Any]] = [
            {"files": {"file": (None, address)}},
            {"files": {"file": (address, address.encode(), "image/jpeg")}},
            {"files": {"file": ("a.jpg", address.encode(), "message/external-body")}},
            {"files": {address: (None, address)}},
            {"data": {"file": address, "url": address}},
            {"json": {"file": address, "url": address}},
            {"content": address.encode(), "headers": {"content-type": "image/jpeg", "content-location": address}},
            {"content": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='%b'/></svg>" % address.encode()},
            {"content": b"x", "params": {"file": address, "url": address}},
        ]
        for request in requests:
            assert 400 <= server.client.post("/picture", **request).status_code < 500
        assert visits == []
        httpx.get(address)
        assert visits, "the listener would have noticed"


@contextmanager
def listening() -> Iterator[tuple[str, list[bytes]]]:
    """An address where somebody listens, and the first line of each request that came there."""
    visits: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                visits.append(client.recv(1000).partition(b"\r\n")[0])
                client.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/photo.jpg", visits
        listener.shutdown(socket.SHUT_RDWR)

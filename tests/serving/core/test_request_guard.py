"""What the server refuses, and how: a 4xx that names the field, Retry-After under load, and never a 5xx or a hang."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.music.schemas import EXAMPLE_TUNE
from tests.serving.core.strangers import everything
from tests.serving.servers import Server, serving

HEADERS = {"content-type": "application/json"}
LONG = 10_000_000
"""Characters that take minutes."""
RAW = {"max_length": 50, "valid_only": False}


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content: dict[str, Any] = answer.json()
    assert content["status"] == status
    assert content["request_id"] == answer.headers["x-request-id"]
    return content


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("temperature", value) for value in ("0", "0.0", "-1", "1e9", "NaN", "Infinity", "-Infinity", '"1"', "null")),
        *(("max_length", value) for value in ("0", "-1", "1000000000", "1e400", "1.5", '"many"', "[]", "true")),
        *(("seed", value) for value in ("-1", "9007199254740992", "1" * 1000, "0.5", '"x"')),
        *(("count", value) for value in ("0", "9", "null")),
        *(("top_k", value) for value in ("-1", "1001")),
        *(("top_p", value) for value in ("0", "1.1", "NaN")),
        *(("key", value) for value in ('"H Major"', '"D major\\n"', '""', "7")),
        ("metre", '"7/8"'),
        ("type", '"waltzer"'),
        *(("title", value) for value in ('""', '"two\\nlines"', '"' + "a" * 101 + '"', '"\\u0000"', '"日本"')),
        *(("start", value) for value in ('""', '"' + "a" * 4001 + '"', '"abc\\n\\ndef"', '"\\n"', '"ab\\u2603"', "{}")),
        ("colour", '"green"'),
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/stream"])
def test_a_wrong_field_is_named(server: Server, path: str, field: str, value: str) -> None:
    answer = server.client.post(path, content=f'{{"{field}": {value}}}'.encode(), headers=HEADERS)
    named = [error["field"] for error in problem(answer, 422)["errors"]]
    assert named == [field]


@pytest.mark.parametrize(
    ("field", "said"),
    [("two\nlines", "two\\nlines"), ("\x1b[2J", "\\x1b[2J"), ("\u2028", "\\u2028"), ("a" * 5000, "a" * 200 + "...")],
    ids=["line break", "a terminal's command", "Unicode's line break", "long"],
)
@pytest.mark.parametrize("path", ["/generate", "/tunes/midi"])
def test_a_refusal_that_names_a_field_of_any_name_is_one_short_line(
    server: Server, path: str, field: str, said: str
) -> None:
    found = problem(server.client.post(path, json={field: 1}), 422)
    assert found["detail"].isprintable()
    assert said in found["detail"]
    assert len(found["detail"]) < 400
    assert field in [error["field"] for error in found["errors"]], "a JSON text holds it as it was sent"


def test_headers_are_given_once(server: Server) -> None:
    answer = server.client.post("/generate", json={"start": "X:1\nK:D\n", "key": "G Major"})
    assert problem(answer, 422)["errors"] == [
        {"field": "start", "reason": "it has headers of its own: leave out key"},
    ]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[" * 10_000, b'{"a":' * 10_000, b"\xff\xfe", b'{"start": "\\ud800"}', b"{'seed': 1}", b"{}{}"],
)
def test_what_is_not_json_is_a_400(server: Server, body: bytes) -> None:
    assert "not JSON" in problem(server.client.post("/generate", content=body, headers=HEADERS), 400)["detail"]


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"[" * 150 + b"]" * 150])
def test_json_that_is_no_object_is_a_422(server: Server, body: bytes) -> None:
    problem(server.client.post("/generate", content=body, headers=HEADERS), 422)


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/vnd.bentoml+pickle"]
)
def test_another_media_type_is_a_415(server: Server, media_type: str) -> None:
    problem(server.client.post("/generate", content=b"{}", headers={"content-type": media_type}), 415)


def test_a_file_part_is_not_fetched_from_an_address(server: Server) -> None:
    answer = server.client.post("/generate", files={"start": (None, server.address + "/info")})
    problem(answer, 415)


def test_a_body_announced_too_large_is_refused_before_it_is_sent(server: Server) -> None:
    with connection(server) as client:
        client.sendall(b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: 200000000\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_large_body_without_a_length_is_not_read_to_its_end(server: Server) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(3200):
            sent += 65536
            yield b" " * 65536

    memory = resident_bytes(server)
    problem(server.client.post("/generate", content=pieces(), headers=HEADERS), 413)
    assert sent < 50_000_000, "a 200 MB body was read"
    assert resident_bytes(server) - memory < 50_000_000


def test_a_body_a_little_too_large_gets_its_answer(server: Server) -> None:
    content = json.dumps({"start": "a" * 70_000}).encode()
    assert "65,536" in problem(server.client.post("/generate", content=content, headers=HEADERS), 413)["detail"]


def test_a_body_that_comes_in_pieces_is_read_whole(server: Server) -> None:
    body = b'{"colour": 1}'
    with connection(server) as client:
        head = b"POST /generate HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
        assert server.client.get("/livez").status_code == 200, "by now the first piece was taken"
        client.sendall(body[5:])
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 422")
    assert b'"field": "colour"' in answer


def test_the_last_byte_of_a_limit_is_taken_and_the_next_one_refused_again_and_again(
    promoted_bundle: Path, tmp_path: Path
) -> None:
    """A file of a form is held with the body that it came in. What is taken here is refused by its route."""
    with serving("music", promoted_bundle, tmp_path, body_bytes=3000, held_bytes=2500) as server:

        def status(size: int, media_type: str, announced: bool = True) -> int:
            content = b'{"colour": 1}'.ljust(size)
            answer = server.client.post(
                "/generate", content=content if announced else iter([content]), headers={"content-type": media_type}
            )
            server.wait_for_log(answer.headers["x-request-id"])  # by then its bytes are let go of
            return answer.status_code

        form = "multipart/form-data; boundary=x"
        for _ in range(3):
            assert [status(size, "application/json") for size in (2500, 2501, 3000, 3001)] == [422, 429, 429, 413]
            assert status(3001, "application/json", announced=False) in (413, 429)
            assert [status(size, form) for size in (1250, 1251)] == [415, 429]


def test_a_body_that_never_comes_is_given_up(promoted_bundle: Path, tmp_path: Path) -> None:
    with serving("music", promoted_bundle, tmp_path, body_seconds=0.2) as server, connection(server) as client:
        client.sendall(b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        assert client.recv(1000).startswith(b"HTTP/1.1 408")


def test_unknown_paths_leave_no_trace_in_the_metrics(server: Server) -> None:
    for path in (
        "/nope",
        "/generate/x",
        "/healthz",
        "/schema.json",
        "/..%2f..%2fetc/passwd",
        "/tunes/mp3",
        "/GENERATE",
    ):
        problem(server.client.get(path), 404)
    problem(server.client.get("/static/no-such-file.js"), 404)
    routes = {
        line.split('route="')[1].split('"')[0]
        for line in server.client.get("/metrics").text.splitlines()
        if "route=" in line
    }
    described = server.client.get("/docs.json").json()["paths"].keys()  # the server is other tests', too
    assert "/generate" in described
    assert routes <= {*described, "/docs.json", "page"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/generate"),
        ("DELETE", "/tunes/midi"),
        ("PUT", "/info"),
        ("POST", "/livez"),
        ("POST", "/readyz"),
        ("POST", "/static/page.js"),
    ],
)
def test_another_method_is_a_405(server: Server, method: str, path: str) -> None:
    answer = server.client.request(method, path)
    problem(answer, 405)
    assert answer.headers["allow"]


def test_nothing_a_client_sends_is_in_the_log(server: Server) -> None:
    secret = "sesame"
    for answer in (
        server.client.post("/generate", json={"title": secret, **RAW}),
        server.client.post("/generate", json={secret: 1}),
        server.client.get("/tunes/midi", params={"abc": secret}),
        server.client.get(f"/{secret}"),
        server.client.get("/info", headers={"x-request-id": f"{secret} is not an id"}),
    ):
        server.wait_for_log(answer.headers["x-request-id"])
    assert secret not in server.log()


def test_a_client_may_bring_its_own_request_id(server: Server) -> None:
    answer = server.client.get("/info", headers={"x-request-id": "order-66"})
    assert answer.headers["x-request-id"] == "order-66"
    server.wait_for_log("order-66")
    logged = [json.loads(line) for line in server.log().splitlines() if "order-66" in line]
    assert [(line["route"], line["status"]) for line in logged] == [("/info", 200)]


def test_more_than_there_is_room_for_is_told_to_come_back(endless_bundle: Path, tmp_path: Path) -> None:
    limits: dict[str, Any] = {"active_tunes": 1, "waiting_tunes": 1, "max_length": LONG}
    with serving("music", endless_bundle, tmp_path, "--allow-unpromoted", **limits) as server:
        listeners = [open_stream(server) for _ in range(2)]
        server.wait_for(lambda: server.metric("music_places_taken") == 2)
        for path in ("/generate", "/stream"):
            answer = server.client.post(path, json={})
            problem(answer, 429)
            assert int(answer.headers["retry-after"]) >= 1
        assert server.client.get("/readyz").status_code == 200, "busy is not broken"
        for listener in listeners:
            listener.close()
        server.wait_for(lambda: server.metric("music_places_taken") == 0)
        problem(server.client.post("/generate", json={"count": 3}), 429)
        assert server.client.post("/generate", json=RAW).status_code == 200


def test_what_takes_too_long_is_given_up(endless_bundle: Path, tmp_path: Path) -> None:
    limits: dict[str, Any] = {"max_length": LONG, "request_seconds": 0.5, "audio_seconds": 0.0001}
    with serving("music", endless_bundle, tmp_path, "--allow-unpromoted", **limits) as server:
        for path, body in (
            ("/generate", {"max_length": LONG, "valid_only": False}),
            ("/tunes/wav", {"abc": EXAMPLE_TUNE}),
        ):
            answer = server.client.post(path, json=body)
            problem(answer, 503)
            assert int(answer.headers["retry-after"]) >= 1
        stream = server.client.post("/stream", json={"max_length": LONG, "valid_only": False})
        assert stream.status_code == 503 or stream.text.split("event: ")[-1].startswith("error")
        server.wait_for(lambda: server.metric("music_places_taken") == 0)


def open_stream(server: Server) -> socket.socket:
    """Asks for a stream and stays connected until closed."""
    body = json.dumps({"max_length": LONG, "valid_only": False}).encode()
    head = f"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    client = socket.create_connection(("127.0.0.1", server.port))
    client.sendall(head.encode() + body)
    return client


@contextmanager
def connection(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=600) as client:
        yield client


def resident_bytes(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(status.split("VmRSS:")[1].split()[0])

"""A server that is told to end delivers what it has begun, as long as it may, and says what it cut off."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.serving.core.odd_api import odd_server
from tests.serving.core.strangers import ask, everything, logged
from tests.serving.servers import Server

IN_FLIGHT = 50
ANSWER_BYTES = 1_000_000


def test_fifty_answers_that_are_read_slowly_are_delivered_to_their_last_byte(
    generation_bundle: Path, tmp_path: Path
) -> None:
    limits = {"held_bytes": 10**9, "drain_seconds": 600.0}
    with odd_server(generation_bundle, tmp_path, **limits) as server, ExitStack() as stack:
        path = f"/answer?bytes={ANSWER_BYTES}"
        # One keeps its connection, which is closed five seconds after its answer: as many for each would be minutes.
        clients = [stack.enter_context(ask(server, path, close=number > 0)) for number in range(IN_FLIGHT)]
        received = [client.recv(100) for client in clients]
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in received)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for(lambda: status(server, "/readyz") == 503)
        assert status(server, "/samples?seed=1&count=1") == 503, "new work is not begun"
        assert status(server, "/livez") == 200
        for begun, client in zip(received, clients, strict=True):
            _, _, body = (begun + everything(client)).partition(b"\r\n\r\n")
            assert len(body) == ANSWER_BYTES
        assert server.process.wait(300) == 0
        assert "cut off" not in server.log()


def test_what_overruns_the_time_gets_a_problem_or_is_written_down_as_cut_off(
    generation_bundle: Path, tmp_path: Path
) -> None:
    with odd_server(generation_bundle, tmp_path, drain_seconds=0.5) as server, ExitStack() as stack:
        waiting = [stack.enter_context(ask(server, "/never")) for _ in range(IN_FLIGHT)]
        stream, unread = (stack.enter_context(ask(server, path)) for path in ("/forever", "/answer?bytes=9000000"))
        assert [client.recv(12) for client in (stream, unread)] == 2 * [b"HTTP/1.1 200"]
        server.process.send_signal(signal.SIGTERM)
        for client in waiting:
            head, _, content = everything(client).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"content-type: application/problem+json" in head
            assert b"retry-after: " in head
            assert json.loads(content)["status"] == 503
        assert not everything(stream).endswith(b"0\r\n\r\n"), "an answer that was cut off has no end"
        assert server.process.wait(300) == 0
        assert [line["status"] for line in logged(server, "request", "/never")] == IN_FLIGHT * [503]
        for route in ("/forever", "/answer"):
            assert [line["status"] for line in logged(server, "request", route)] == [503]
            (cut,) = logged(server, "answer cut off", route)
            assert 0 < cut["sent_bytes"] < 9_000_000


def status(server: Server, path: str) -> int:
    """By a connection of its own."""
    return httpx.get(server.address + path, timeout=600).status_code

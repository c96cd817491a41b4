"""Strangers who hold connections open: headers are bounded in size and time, connections in number, and probes answer.

The service is the pictures' API with a model that has learnt nothing: it needs no data, and starts in two seconds.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from components.params import load_server
from serving.core.connections import Config, Connection
from tests.serving.core.strangers import everything, peak_bytes
from tests.serving.servers import PROJECT, Server, command, running, write_params

CONNECTIONS = 64
HEAD = b"GET /info HTTP/1.1\r\nHost: x\r\n"
WITH_FILES = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({0}, {0}))
os.execv(sys.argv[1], sys.argv[1:])
"""
"""A process that may open so many files, as a container's."""
HEADER_SECONDS = 4.0
PROBE_SECONDS = 10.0
"""A silenced probe never answers. On an idle machine they answered within milliseconds."""


@pytest.fixture(scope="module")
def server(generation_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("connections")
    params = write_params(folder, connections=CONNECTIONS, header_seconds=HEADER_SECONDS)
    options = ("--params", str(params), "--allow-unpromoted")
    with running(command("digit_generation", generation_bundle, 0, *options), folder) as server:
        yield server


def test_headers_without_an_end_are_cut_off(server: Server) -> None:
    memory, sent = peak_bytes(server), 0
    with connected(server) as client:
        client.sendall(HEAD)
        with pytest.raises(OSError):
            while sent < 600_000_000:
                client.sendall(b"X-Filler: " + 65_000 * b"a" + b"\r\n")
                sent += 65_000
    assert sent < 20_000_000
    assert peak_bytes(server) - memory < 50_000_000


@pytest.mark.parametrize(
    "request_of",
    [
        HEAD + b"X-Long: " + 80_000 * b"a" + b"\r\n\r\n",
        HEAD + b"X-Long: " + 80_000 * b"a",
        HEAD + 5000 * b"X: abcdefgh\r\n" + b"\r\n",
        b"GET /" + 80_000 * b"a" + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + 80_000 * b"a",
    ],
    ids=["one header", "one header without an end", "many headers", "the address", "an address without an end"],
)
def test_too_large_a_head_is_refused_with_431(server: Server, request_of: bytes) -> None:
    assert_refused(server, request_of, 431)


def test_what_a_refused_client_still_sends_is_thrown_away(server: Server) -> None:
    with connected(server) as client:
        client.sendall(HEAD + b"X-Long: " + 80_000 * b"a")
        assert client.recv(12) == b"HTTP/1.1 431"
        with suppress(OSError):  # a second later it is closed
            client.sendall(b"more")
        everything(client)
    assert server.client.get("/livez").status_code == 200
    assert "Traceback" not in server.log()


def test_a_head_of_24_kilobytes_is_read(server: Server) -> None:
    assert server.client.get("/info", headers={"x-cookie": 24_000 * "a"}).status_code == 200


def test_headers_that_do_not_come_in_time_are_refused_with_408(server: Server) -> None:
    assert_refused(server, HEAD, 408)


def test_trailers_are_bounded_as_headers_are(server: Server) -> None:
    with connected(server) as client, pytest.raises(OSError):
        client.sendall(b"POST /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        for _ in range(10_000):
            client.sendall(b"X-Trailer: " + 10_000 * b"a" + b"\r\n")


def test_what_is_no_http_is_refused_with_a_problem(server: Server) -> None:
    assert_refused(server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello, this is TLS\r\n\r\n", 400)


@pytest.mark.parametrize(
    "body",
    [b"\xff\xff\r\n", b"2\r\n{}\rh", b"2\r\n{}xx0\r\n\r\n", b"0\r0\r\n\r\n", b"fffffffffffffffffffff\r\n{}"],
    ids=["no length", "a piece without an end", "a piece too long", "an end without an end", "a length too long"],
)
def test_a_body_in_wrong_pieces_is_refused_with_a_problem(server: Server, body: bytes) -> None:
    """Its request has begun by then, and waits for it."""
    head = b"POST /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert_refused(server, head + body, 400)
    with connected(server) as client:
        client.sendall(head)
        assert server.client.get("/livez").status_code == 200
        client.sendall(body)
        assert everything(client).startswith(b"HTTP/1.1 400 ")
    assert "Traceback" not in server.log()


def test_a_second_request_does_not_wait_in_line_behind_the_first(server: Server) -> None:
    """Ten thousand requests fit into one packet, and each would be held until the one before is answered."""
    with connected(server) as client:
        client.sendall(10_000 * (HEAD + b"\r\n"))
        answer = everything(client)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_connection_that_says_nothing_is_closed(server: Server) -> None:
    with connected(server) as client:
        assert everything(client) == b""


def test_half_sent_requests_close_the_oldest_of_them_and_probes_answer(server: Server) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(connected(server))
        first.sendall(HEAD)
        for _ in range(3 * CONNECTIONS):
            stack.enter_context(connected(server)).sendall(HEAD)
        assert_probes_answer(server)
        assert open_sockets(server) <= CONNECTIONS + 5
        assert everything(first) == b"", "it was closed without an answer"
    server.wait_for_log("connections were closed to make room")


def test_half_sent_bodies_make_room_too(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(3 * CONNECTIONS):
            client = stack.enter_context(connected(server))
            client.sendall(b"POST /info HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nx")
        assert_probes_answer(server)


def test_1100_half_sent_requests_at_1024_files_do_not_silence_the_probes(
    generation_bundle: Path, tmp_path: Path
) -> None:
    params = write_params(tmp_path, header_seconds=600.0, connections=2000)
    options = ("--params", str(params), "--allow-unpromoted")
    arguments = command("digit_generation", generation_bundle, 0, *options)
    limited = [sys.executable, "-c", WITH_FILES.format(1024), *arguments]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    with running(limited, tmp_path) as server, ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(connected(server)).sendall(HEAD)
        assert_probes_answer(server)
        assert "768 connections instead of 2000" in server.log()


def assert_probes_answer(server: Server) -> None:
    for path in ("/livez", "/readyz") * 5:
        with httpx.Client(base_url=server.address, timeout=PROBE_SECONDS) as probe:
            assert probe.get(path).status_code == 200


def assert_refused(server: Server, request_of: bytes, status: int) -> None:
    with connected(server) as client:
        client.sendall(request_of)
        head, _, body = everything(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/problem+json" in head
    assert b"x-content-type-options: nosniff" in head
    assert json.loads(body)["status"] == status


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        yield client


def open_sockets(server: Server) -> int:
    files = Path(f"/proc/{server.process.pid}/fd").iterdir()
    return sum(file.readlink().name.startswith("socket:") for file in files if file.is_symlink())


def test_a_connection_is_busy_until_the_last_byte_of_its_answer_is_on_its_way() -> None:
    """A server that is told to end stays for those that are busy. Here the answer is made long before it is read."""
    size = 64 * 2**20  # more than the buffers of any kernel take

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": bytes(size)})

    async def scene() -> tuple[bool, list[bool], int, bool]:
        config = Config(answer, load_server(PROJECT / "params.yaml"))
        config.load()
        state, open_ones = ServerState(), list[Connection]()

        def connection() -> Connection:
            open_ones.append(Connection(config, state, {}))
            return open_ones[-1]

        server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        while not open_ones:
            await asyncio.sleep(0)
        before = open_ones[0].busy
        writer.write(HEAD + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        while state.tasks:
            await asyncio.sleep(0)
        unread = [open_ones[0].busy, open_ones[0].waits_since() is not None]
        read = len(await reader.readexactly(size))
        while open_ones[0].transport.get_write_buffer_size():
            await asyncio.sleep(0)
        after = open_ones[0].busy
        writer.close()
        server.close()
        assert head.startswith(b"HTTP/1.1 200")
        return before, unread, read, after

    assert asyncio.run(scene()) == (False, [True, True], size, False)

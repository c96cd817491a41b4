"""What strangers send, and what they do not read, costs a server no more memory than its pod has."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from PIL import Image

from serving.music.schemas import EXAMPLE_TUNE
from tests.serving.hostile import jpeg, large
from tests.serving.servers import Server, serving

POD_BYTES = 512 * 2**20
MEGABYTE = 1_000_000
DEAF = 20
"""Clients that read nothing."""
BLANK = b"HTTP/1.1 422"
"""The digits API has decoded a picture, and found nothing on it."""
WAV_SECONDS, WAV_BYTES = 60, 60 * 22050 * 2
LONG_TUNE = EXAMPLE_TUNE + WAV_SECONDS * "ABcd efga|"
"""Lasts longer than WAV_SECONDS."""


@pytest.fixture(scope="module")
def server(promoted_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = {"held_bytes": 8 * MEGABYTE, "send_seconds": 5.0, "audio_waiting": DEAF, "body_bytes": 3 * MEGABYTE}
    with serving("music", promoted_bundle, tmp_path_factory.mktemp("server"), **limits) as running:
        yield running


@pytest.fixture(scope="module")
def digits_server(digits_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("digits-server")
    with serving("digits", digits_bundle, folder, "--allow-unpromoted") as running:
        yield running


def test_answers_that_nobody_reads_are_bounded_and_then_cut_off(server: Server) -> None:
    """Twenty sounds, each of 2.6 MB and more: the server would hold 50 MB of them, twice."""
    before = forget_peak(server)
    with ExitStack() as stack:
        clients = [stack.enter_context(deaf_client(server, "/tunes/wav", LONG_TUNE)) for _ in range(DEAF)]
        answers = [client.recv(12, socket.MSG_PEEK) for client in clients]
        assert peak_bytes(server) - before < 40 * MEGABYTE
        assert server.client.get("/readyz").status_code == 200
        assert answers.count(b"HTTP/1.1 200") >= 2
        assert answers.count(b"HTTP/1.1 429") >= 4
        server.wait_for_log("a client does not read its answer")
        server.wait_for(lambda: server.client.post("/tunes/wav", json={"abc": LONG_TUNE}).status_code == 200)
    server.wait_for_log("answer cut off")


def test_a_sound_is_sent_whole_to_whoever_reads_it(server: Server) -> None:
    sound = server.client.post("/tunes/wav", json={"abc": LONG_TUNE})
    assert sound.status_code == 200
    assert len(sound.content) == int(sound.headers["content-length"]) > WAV_BYTES


def test_probes_pass_while_three_times_as_much_is_sent_as_may_be_held(server: Server) -> None:
    """They have no body, and add nothing."""
    size = 2 * MEGABYTE
    head = b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size
    with ExitStack() as stack:
        clients = []
        for _ in range(3 * 8 * MEGABYTE // size):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=600))
            client.sendall(head)
            clients.append(client)
        senders = stack.enter_context(ThreadPoolExecutor(len(clients)))
        wait([senders.submit(send_all_but_the_end, client, size) for client in clients])
        server.wait_for(lambda: server.client.post("/generate", content=bytes(MEGABYTE)).status_code == 429)
        for path in ("/livez", "/readyz", "/info", "/metrics"):
            assert server.client.get(path).status_code == 200, path


def send_all_but_the_end(client: socket.socket, size: int) -> None:
    with suppress(OSError):  # refused: the server closes the connection
        client.sendall(bytes(size - 1))


def test_large_pictures_are_decoded_one_at_a_time(digits_server: Server) -> None:
    forget_peak(digits_server)
    with ThreadPoolExecutor(8) as crowd:
        statuses = [*crowd.map(lambda content: post(digits_server, content), 6 * [large()])]
    assert set(statuses) == {422}
    assert peak_bytes(digits_server) < POD_BYTES


def test_bodies_are_held_once(digits_server: Server) -> None:
    """As many as `held_bytes` lets in, which arrive at the same time."""
    size, most = 9 * MEGABYTE, digits_server.client.get("/info").json()["limits"]["held_bytes"]
    photo = jpeg(Image.new("RGB", (64, 64)))
    body = photo + bytes(size - len(photo))
    head = b"POST /read HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
    before = forget_peak(digits_server)
    with ExitStack() as stack:
        clients = []
        for _ in range(most // size):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", digits_server.port), timeout=600))
            client.sendall(head + body[:-1])
            clients.append(client)
        digits_server.wait_for(lambda: post(digits_server, body) == 429)
        for client in clients:
            client.sendall(body[-1:])
        assert {client.recv(12) for client in clients} == {BLANK}
    assert peak_bytes(digits_server) - before < 1.5 * most
    assert peak_bytes(digits_server) < POD_BYTES


def test_files_of_forms_are_counted_with_the_bodies_that_they_came_in(digits_server: Server) -> None:
    most = digits_server.client.get("/info").json()["limits"]["held_bytes"]
    files = {"file": ("a.jpg", jpeg(Image.new("RGB", (64, 64))) + bytes(30 * MEGABYTE))}
    before = forget_peak(digits_server)
    with ThreadPoolExecutor(4) as crowd:
        answers = [*crowd.map(lambda _: digits_server.client.post("/read", files=files).status_code, range(4))]
    assert set(answers) <= {422, 429}
    assert 422 in answers
    assert peak_bytes(digits_server) - before < 1.5 * most


def post(server: Server, content: bytes, path: str = "/read") -> int:
    return httpx.post(server.address + path, content=content, timeout=600).status_code


def deaf_client(server: Server, path: str, tune: str) -> socket.socket:
    """Asks for a tune's sound, and reads nothing of it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(600)
    client.connect(("127.0.0.1", server.port))
    request = httpx.Request("POST", server.address + path, json={"abc": tune})
    body = request.read()
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    client.sendall(head % (path.encode(), len(body)) + body)
    return client


def forget_peak(server: Server) -> int:
    """The next peak is counted from here. Returns what the process has now."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return peak_bytes(server)


def peak_bytes(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])

"""What strangers send, and what they do not read, costs a server no more memory than its pod has."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.serving.core.odd_api import odd_server
from tests.serving.core.strangers import ask, begin_to_send, everything, forget_peak, peak_bytes
from tests.serving.hostile import jpeg, large, png
from tests.serving.servers import Server

POD_BYTES = 512 * 2**20
MEGABYTE = 1_000_000
HELD, BODY = 100 * MEGABYTE, 40 * MEGABYTE
SOUND = 13 * MEGABYTE
"""Bytes of 290 seconds of sound."""
PHOTO = 9 * MEGABYTE


@pytest.fixture(scope="module")
def server(generation_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = {"held_bytes": HELD, "body_bytes": BODY, "send_seconds": 5.0}
    with odd_server(generation_bundle, tmp_path_factory.mktemp("server"), **limits) as running:
        yield running


def test_answers_that_nobody_reads_are_bounded_and_then_cut_off(server: Server) -> None:
    """Sixty long sounds, 780 MB of them."""
    before = forget_peak(server)
    with ExitStack() as stack:
        clients = [stack.enter_context(ask(server, f"/answer?bytes={SOUND}")) for _ in range(60)]
        answers = [client.recv(12, socket.MSG_PEEK) for client in clients]
        assert server.client.get("/readyz").status_code == 200
        assert peak_bytes(server) - before < HELD + 30 * MEGABYTE
        assert set(answers) == {b"HTTP/1.1 200", b"HTTP/1.1 429"}
        first = clients[answers.index(b"HTTP/1.1 200")]
        server.wait_for_log("answer cut off")
        assert len(everything(first)) < SOUND
        server.wait_for(lambda: server.client.get(f"/answer?bytes={SOUND}").status_code == 200)
    assert peak_bytes(server) < POD_BYTES


def test_answers_whose_clients_leave_are_let_go_of_at_once(server: Server) -> None:
    """Not when the collector comes, by which time they might be hundreds. These are 390 MB."""

    def left() -> int:
        found = re.search(
            r'http_requests_total{route="/answer",status="499"} (\d+)', server.client.get("/metrics").text
        )
        return int(found[1]) if found else 0

    before, already = forget_peak(server), left()
    for number in range(1, 31):
        with ask(server, f"/answer?bytes={SOUND}") as client:
            assert client.recv(12) == b"HTTP/1.1 200"
        server.wait_for(lambda: left() == already + number)  # noqa: B023 - it is asked now
    assert peak_bytes(server) - before < HELD


def test_a_long_answer_reaches_whoever_reads_it_whole(server: Server) -> None:
    sound = server.client.get(f"/answer?bytes={SOUND}")
    assert (sound.status_code, len(sound.content)) == (200, SOUND)
    assert sound.headers["content-length"] == str(SOUND)


def test_bodies_are_held_once(server: Server) -> None:
    """As many photographs as fit, which arrive at the same time."""
    body = padded(PHOTO)
    before = forget_peak(server)
    with ExitStack() as stack:
        clients = [stack.enter_context(begin_to_send(server, "/picture", body)) for _ in range(HELD // PHOTO)]
        server.wait_for(lambda: post(server, body) == 429)
        for client in clients:
            client.sendall(body[-1:])
        assert {client.recv(12) for client in clients} == {b"HTTP/1.1 200"}
    assert peak_bytes(server) - before < 1.4 * HELD
    assert peak_bytes(server) < POD_BYTES


def test_files_of_forms_are_counted_with_the_bodies_that_they_came_in(server: Server) -> None:
    files = {"file": ("a.jpg", padded(30 * MEGABYTE))}
    before = forget_peak(server)
    assert server.client.post("/picture", files=files).status_code == 200
    with ThreadPoolExecutor(4) as crowd:
        answers = [*crowd.map(lambda _: server.client.post("/picture", files=files).status_code, range(4))]
    assert set(answers) <= {200, 429}
    assert peak_bytes(server) - before < 1.4 * HELD


def test_probes_pass_while_three_times_as_much_is_sent_as_may_be_held(server: Server) -> None:
    """They have no body, and add nothing."""
    body = padded(20 * MEGABYTE)
    with ExitStack() as stack:
        for _ in range(3 * HELD // len(body)):
            with suppress(OSError):  # refused, and closed
                stack.enter_context(begin_to_send(server, "/picture", body))
        server.wait_for(lambda: post(server, padded(2 * MEGABYTE)) == 429 or post(server, body) == 429)
        for path in ("/livez", "/readyz", "/info", "/metrics", "/samples?seed=1&count=1"):
            assert server.client.get(path).status_code == 200, path


def test_large_pictures_are_decoded_one_at_a_time(server: Server) -> None:
    before = forget_peak(server)
    with ThreadPoolExecutor(6) as crowd:
        assert set(crowd.map(lambda content: post(server, content), 6 * [large()])) == {200}
    assert peak_bytes(server) < POD_BYTES, f"{before:,} bytes before"


@pytest.mark.parametrize("megapixels", [26, 60, 100, 178])
def test_a_picture_of_too_many_pixels_is_refused_and_not_decoded(server: Server, megapixels: int) -> None:
    before = forget_peak(server)
    width, height = 10_000, megapixels * 100
    content = png(width, height, 1, 0, bytes(height * (1 + width // 8)))
    assert post(server, content) == 413
    assert peak_bytes(server) - before < 10 * MEGABYTE


def padded(size: int) -> bytes:
    """A small photograph in a large file."""
    photo = jpeg(Image.new("RGB", (64, 64)))
    return photo + bytes(size - len(photo))


def post(server: Server, content: bytes) -> int:
    return httpx.post(f"{server.address}/picture", content=content, timeout=600).status_code

"""Requests of HTTP as bytes, sent to a real server over sockets: whatever is sent, something sensible comes back."""

from __future__ import annotations

import json
import random
import socket
from contextlib import suppress
from functools import cached_property
from http.client import HTTPResponse
from typing import Any

from serving.core.problems import RefusalError
from tests.fuzz.mutations import mutated_bytes, mutated_tree
from tests.fuzz.targets import POD_BYTES, MidiFiles, Pictures, Target, Tunes, peak_bytes

SERVER = "server.json"
"""File of a target's folder with the port and the process of its server, and the name of its API."""
ANSWER_SECONDS = 300
"""The server's own limits are a second: longer is a hang."""
FORM = "multipart/form-data; boundary=fuzz"
LENGTH = b"Content-Length:"
PATHS = ("/info", "/livez", "/readyz", "/metrics", "/docs.json", "/drift", "/", "/static/page.js", "/shadow")
GENERATE = {
    **{"key": "G Major", "metre": "6/8", "type": "jig", "temperature": 0.5, "seed": 1, "count": 1, "max_length": 120},
    **{"top_k": 0, "top_p": 1.0, "title": "The Open Window", "start": "GAB GBd|", "valid_only": False},
}


def request(method: str, path: str, body: bytes = b"", media_type: str = "") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nConnection: close"
    return _with_length((head + (f"\r\nContent-Type: {media_type}" if media_type else "")).encode(), body)


def json_body(value: Any) -> bytes:
    return json.dumps(value).encode()


def form(content: bytes) -> bytes:
    head = b'--fuzz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
    return head + b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--fuzz--\r\n"


def _with_length(head: bytes, body: bytes) -> bytes:
    lines = [line for line in head.split(b"\r\n") if not line.startswith(LENGTH)]
    return b"\r\n".join([*lines, LENGTH + b" %d" % len(body), b"", body])


def _in_chunks(draw: random.Random, head: bytes, body: bytes) -> bytes:
    """The request as an unknown number of pieces, in whose framing a byte may be wrong."""
    lines = [line for line in head.split(b"\r\n") if not line.startswith(LENGTH)]
    at = draw.randint(0, len(body))
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:at], body[at:]) if piece) + b"0\r\n\r\n"
    pieces = mutated_bytes(draw, pieces, pieces) if draw.random() < 0.5 else pieces
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", pieces])


class Requests(Target):
    """Requests to the music or the digits API: request lines, headers, queries, JSON, forms, tunes, pictures."""

    @cached_property
    def seeds(self) -> list[bytes]:
        folder, draw = self.folder, random.Random(0)  # noqa: S311 - chooses inputs
        made = [request("GET", path) for path in PATHS]
        if self._server["api"] == "music":
            tunes, files = Tunes(folder).seeds[:10], MidiFiles(folder).seeds[:10]
            made += 3 * [
                request("POST", path, json_body(GENERATE), "application/json") for path in ("/generate", "/stream")
            ]
            made += [
                request("POST", "/tunes/wav", json_body({"abc": tune.decode()}), "application/json") for tune in tunes
            ]
            made += [request("POST", "/tunes/from-midi?key=G%20Major&metre=6/8", file, "audio/midi") for file in files]
            made += [request("POST", "/tunes/from-midi", form(file), FORM) for file in files]
            made.append(request("GET", "/tunes/midi?abc=X:1%0AM:C%0AL:1/8%0AK:G%0AGABc%20d4|]"))
        else:
            drawing = [[draw.choice((0, 0, 255)) for _ in range(28)] for _ in range(28)]
            made += 5 * [request("POST", "/read", json_body({"image": drawing}), "application/json")]
            pictures = Pictures(folder).seeds[::4]
            made += [request("POST", "/read", picture, "image/png") for picture in pictures]
            made += [request("POST", "/read", form(picture), FORM) for picture in pictures]
        return made

    def mutated(self, draw: random.Random, content: bytes) -> bytes:
        head, _, body = content.partition(b"\r\n\r\n")
        if draw.random() < 0.35:
            head = mutated_bytes(draw, head, draw.choice(self.seeds))
            return head + b"\r\n\r\n" + body
        if b"application/json" in head and draw.random() < 0.7:
            body = json_body(mutated_tree(draw, json.loads(body)))
        else:
            body = mutated_bytes(draw, body, draw.choice(self.seeds))
        if draw.random() < 0.1:
            return _in_chunks(draw, head, body)
        return _with_length(head, body)

    def use(self, content: bytes) -> None:
        if not content:
            return
        with socket.create_connection(("127.0.0.1", self._server["port"]), timeout=ANSWER_SECONDS) as client:
            with suppress(OSError):  # it may be refused before all of it is sent
                client.sendall(content)
            answer = HTTPResponse(client, method="HEAD" if content.startswith(b"HEAD ") else None)
            answer.begin()
            body = answer.read()
        peak = peak_bytes(self._server["pid"])
        assert peak < POD_BYTES, f"the server took {peak:,} bytes of memory"
        _check(answer, body)

    @cached_property
    def _server(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / SERVER).read_text())
        return found


def _check(answer: HTTPResponse, body: bytes) -> None:
    """Raises RefusalError for a refusal that says why."""
    assert answer.status < 500, f"{answer.status}: {body[:500]!r}"
    assert answer.headers["x-content-type-options"] == "nosniff", f"no nosniff in {answer.status}"
    if answer.status < 400:
        return
    detail = ""
    if body:  # there is none in the answer to a HEAD
        assert answer.headers["content-type"] == "application/problem+json", f"{answer.status}: {body[:500]!r}"
        problem = json.loads(body)
        assert problem["status"] == answer.status
        detail = problem["detail"]
    raise RefusalError(answer.status, detail or "no body")

"""A real HTTP server on localhost that behaves well or badly, path by path."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

Behaviour = Callable[["Handler"], None]


@dataclass
class Web:
    address: str
    pages: dict[str, Behaviour] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range header) of each GET."""


class Handler(BaseHTTPRequestHandler):
    web: Web

    def do_HEAD(self) -> None:
        self.answer(404, b"")

    def do_GET(self) -> None:
        self.web.requests.append((self.path, self.headers.get("Range")))
        behave = self.web.pages.get(self.path)
        if behave is None:
            self.answer(404, b"nothing here")
        else:
            behave(self)

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve() -> Iterator[Web]:
    class OwnHandler(Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), OwnHandler)
    web = Web(f"http://127.0.0.1:{server.server_port}")
    OwnHandler.web = web
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()


def whole(content: bytes) -> Behaviour:
    """Serves the content, and ranges of it."""

    def behave(handler: Handler) -> None:
        wanted = handler.headers.get("Range")
        if wanted is None:
            return handler.answer(200, content)
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            return handler.answer(416, b"")
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return handler.answer(206, content[start:], Content_Range=span)

    return behave


def without_ranges(content: bytes) -> Behaviour:
    return lambda handler: handler.answer(200, content)


def cut_off(content: bytes, keep: int, times: int = 10**9) -> Behaviour:
    """Promises all, sends `keep` bytes of what is asked for and hangs up, `times` times; then behaves."""
    left = [times]

    def behave(handler: Handler) -> None:
        if left[0] <= 0:
            return whole(content)(handler)
        left[0] -= 1
        wanted = handler.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        rest = content[start:]
        return handler.answer(206 if wanted else 200, rest[:keep], length=len(rest))

    return behave


def lying_about_length(content: bytes, length: int) -> Behaviour:
    return lambda handler: handler.answer(200, content, length=length)


def without_end(handler: Handler) -> None:
    """Sends bytes until the client hangs up."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        pass


def stuck_after(content: bytes, released: Event) -> Behaviour:
    """Promises a megabyte, sends `content`, and then nothing until released."""

    def behave(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 20))
        handler.end_headers()
        handler.wfile.write(content)
        handler.wfile.flush()
        released.wait()

    return behave

"""Clients by hand, which do what no library of HTTP would."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from tests.serving.servers import Server

RECEIVE_BYTES = 4096
"""So little is kept by the kernel of a client that does not read."""


def connect(server: Server) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    client.settimeout(600)
    client.connect(("127.0.0.1", server.port))
    return client


def ask(server: Server, path: str, close: bool = False) -> socket.socket:
    """A client that has asked, and reads nothing yet. close: it wants the connection closed after the answer."""
    client = connect(server)
    header = b"Connection: close\r\n" if close else b""
    client.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path.encode(), header))
    return client


def begin_to_send(server: Server, path: str, body: bytes) -> socket.socket:
    """A client that has sent all of its body but the last byte."""
    client = connect(server)
    client.sendall(
        b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body)) + body[:-1]
    )
    return client


def everything(client: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    received = bytearray()
    try:
        while piece := client.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return bytes(received)


def logged(server: Server, message: str, route: str) -> list[dict[str, Any]]:
    """Lines of the server's log."""
    lines = [json.loads(line) for line in server.log().splitlines()]
    return [line for line in lines if line["message"] == message and line.get("route") == route]


def forget_peak(server: Server) -> int:
    """The next peak is counted from here. Returns what the process has now."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return peak_bytes(server)


def peak_bytes(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])

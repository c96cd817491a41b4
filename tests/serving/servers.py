"""Real servers on free ports."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

PROJECT = Path(__file__).resolve().parent.parent.parent


class Server:
    """A process of `python -m serving.<lab>`, and a client of it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.address, timeout=60)
        self._log = log

    def log(self) -> str:
        return self._log.read_text()

    def wait_for_log(self, words: str) -> None:
        """A request is written down after its answer has gone."""
        self.wait_for(lambda: words in self.log())

    def metric(self, name: str) -> float:
        """The value of a metric without labels, or with these written out."""
        for line in self.client.get("/metrics").text.splitlines():
            if line.rpartition(" ")[0] == name:
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"no metric {name}")

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits until something has become true of the server; a minute is an eternity."""
        for _ in range(3000):
            if condition():
                return
            time.sleep(0.02)
        raise AssertionError(f"it never happened; the server's log:\n{self.log()}")


def command(lab: str, bundle: Path | str, port: int, *options: str) -> list[str]:
    return [sys.executable, "-m", f"serving.{lab}", "--bundle", str(bundle), "--port", str(port), *options]


@contextmanager
def serving(
    lab: str, bundle: Path | str, folder: Path, *options: str, project: Path = PROJECT, **limits: Any
) -> Iterator[Server]:
    """A server of the bundle, ready; limits: of serve.<lab> in params.yaml."""
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["serve"][lab] |= limits
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    log = folder / "server.log"
    arguments = command(lab, bundle, port, "--params", str(folder / "params.yaml"), *options)
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, cwd=project, stdout=output, stderr=output)
    server = Server(process, port, log)
    try:
        server.wait_for(lambda: process.poll() is not None or _answers(server))
        assert process.poll() is None, server.log()
        yield server
    finally:
        server.client.close()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()


def _answers(server: Server) -> bool:
    try:
        return server.client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False

"""Real servers on free ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from components.labs import find
from components.params import load

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # every server is given parameters: seven times as fast
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
PROJECT = Path(__file__).resolve().parent.parent.parent
PATIENT = {
    **{"request_seconds": 600.0, "body_seconds": 600.0, "audio_seconds": 600.0},
    **{"header_seconds": 600.0, "send_seconds": 600.0},
}
"""Limits of a server that is not asked how it gives up: on a busy machine an answer may take a while."""


class Server:
    """A process that serves an API, and a client of it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.address, timeout=600)
        self._log = log

    def close(self) -> None:
        self.client.close()

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
        """Waits until something has become true of the server; five minutes are an eternity."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.02)
        raise AssertionError(f"it never happened; the server's log:\n{self.log()}")


def command(lab: str, bundle: Path | str, port: int, *options: str) -> list[str]:
    return [sys.executable, "-m", "serving", lab, "--bundle", str(bundle), "--port", str(port), *options]


def params_of(lab: str) -> Any:
    """The project's parameters of a lab."""
    return load(find(lab), PROJECT / "params.yaml")


def write_params(folder: Path, project: Path = PROJECT, **limits: Any) -> Path:
    """The project's parameters with these limits of every API and of the server, as far as each has them.

    They are laid on top of PATIENT.
    """
    params = yaml.load((project / "params.yaml").read_text(), LOADER)  # noqa: S506 - it is a safe loader
    for block_name, block in params.items():
        known = block if block_name == "server" else block.get("serve", {})
        known |= {name: value for name, value in (PATIENT | limits).items() if name in known}
    path = folder / "params.yaml"
    path.write_text(yaml.dump(params, Dumper=DUMPER))
    return path


@contextmanager
def serving(
    lab: str, bundle: Path | str, folder: Path, *options: str, project: Path = PROJECT, **limits: Any
) -> Iterator[Server]:
    """A server of the bundle, ready; limits: of its API, on top of PATIENT."""
    params = write_params(folder, project, **limits)
    with running(command(lab, bundle, 0, "--params", str(params), *options), folder, project) as server:
        yield server


@contextmanager
def running(
    arguments: list[str], folder: Path, project: Path = PROJECT, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server, ready, which ends by SIGTERM."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments, cwd=project, stdout=output, stderr=output, env={**os.environ, **(environment or {})}
        )
    try:
        with closing(Server(process, _port(process, log), log)) as server:
            server.wait_for(lambda: server.client.get("/readyz").status_code == 200)
            yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(300)
        finally:
            process.kill()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The one that the server took and wrote down: one chosen here could be somebody else's by then."""
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        for line in log.read_text().splitlines(keepends=True):
            if '"message": "listening"' in line and line.endswith("\n"):
                return int(json.loads(line)["port"])
        time.sleep(0.05)
    raise AssertionError(f"it does not listen:\n{log.read_text()}")

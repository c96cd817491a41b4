"""The servers of the soak: two replicas and MLflow, which are started again whenever they end, and what ends them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent
FAULTS = 10
"""In a run: the time between two of them is a tenth of it."""
READY_SECONDS = 900


@dataclass
class Replica:
    """A server that is started again whenever it ends."""

    command: list[str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    failed_starts: int = 0
    """Ended by itself, as it does where its champion can't be had."""
    told: bool = False
    """The fault schedule ended it."""
    resident: list[tuple[float, float]] = field(default_factory=list)
    """Times, and MB in memory."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def keep(self) -> None:
        """Starts it where it does not run."""
        if self.process is None or self.process.poll() is not None:
            if self.process is not None and not self.told:
                self.failed_starts += 1
            self.told = False
            self.starts += 1
            with self.log.open("ab") as output:
                self.process = subprocess.Popen(
                    self.command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True
                )

    def end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.told = True
            os.killpg(self.process.pid, how)  # MLflow's server is a process of the one that is started

    def measure(self, now: float) -> None:
        if self.process is not None and self.process.poll() is None:
            self.resident.append((now, psutil.Process(self.process.pid).memory_info().rss / 1e6))

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.address}/readyz", timeout=10).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            self.keep()
            time.sleep(0.5)
        raise SystemExit(f"a server does not get ready:\n{self.log.read_text()[-3000:]}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def mlflow_server(scratch: Path) -> Replica:
    port = free_port()
    places = (
        "--backend-store-uri",
        f"sqlite:///{scratch}/mlflow.db",
        "--artifacts-destination",
        str(scratch / "artifacts"),
    )
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return Replica([*command, *places], port, scratch / "mlflow.log")


class Faults(threading.Thread):
    """Ends a replica, or MLflow for a while, every so often, and keeps all of them running otherwise."""

    def __init__(self, steady: Replica, killed: Replica, mlflow: Replica, seconds: float) -> None:
        super().__init__(daemon=True)
        self.steady, self.killed, self.mlflow, self.every = steady, killed, mlflow, seconds / FAULTS
        self.log: list[tuple[float, str]] = []
        self.stop = threading.Event()
        self.began = time.monotonic()
        self._mlflow_back = 0.0
        self.seconds_without_mlflow = 0.0
        """Counted by asking it."""

    def run(self) -> None:
        next_fault, number, before = self.every / 2, 0, 0.0
        while not self.stop.wait(1):
            now = time.monotonic() - self.began
            for replica in (self.steady, self.killed):
                replica.keep()
                replica.measure(now)
            if now > self._mlflow_back:
                self.mlflow.keep()
            elif not answers(self.mlflow):
                self.seconds_without_mlflow += now - before
            before = now
            if now > next_fault:
                self._fault(number, now)
                next_fault, number = next_fault + self.every, number + 1

    def _fault(self, number: int, now: float) -> None:
        if number % 2:
            self._mlflow_back = now + self.every / 3
            self.mlflow.end(signal.SIGKILL)
            self.log.append((now, f"MLflow is away for {self.every / 3:.0f} s"))
        how = (signal.SIGKILL, signal.SIGTERM)[number // 2 % 2]
        self.killed.end(how)
        self.log.append((now, f"{how.name} to a replica"))


def answers(mlflow: Replica) -> bool:
    try:
        return httpx.get(f"{mlflow.address}/health", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def wait_for_mlflow(mlflow: Replica) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not answers(mlflow):
        if time.monotonic() > deadline:
            raise SystemExit(f"MLflow does not start:\n{mlflow.log.read_text()[-3000:]}")
        time.sleep(0.5)

"""kubectl, as the acceptance suite uses it: the current context, and nothing that waits for ever."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

SECONDS = 120


class KubectlError(Exception):
    """What kubectl said when it failed."""


def kubectl(*arguments: str, given: str | None = None, seconds: float = SECONDS) -> str:
    """Runs kubectl and returns what it prints. given: its standard input. Raises KubectlError."""
    try:
        done = subprocess.run(
            ["kubectl", *arguments], input=given, capture_output=True, text=True, check=False, timeout=seconds
        )
    except FileNotFoundError:
        raise KubectlError("kubectl is not installed") from None
    except subprocess.TimeoutExpired:
        raise KubectlError(f"kubectl {' '.join(arguments[:4])} took longer than {seconds:g} s") from None
    if done.returncode != 0:
        raise KubectlError(" ".join(done.stderr.split()) or f"kubectl {' '.join(arguments[:4])} failed")
    return done.stdout


def missing_cluster() -> str:
    """Why no cluster answers; "" where one does."""
    if shutil.which("kubectl") is None:
        return "kubectl is not installed"
    try:
        kubectl("config", "current-context")
        kubectl("get", "--raw", "/readyz", seconds=30)
    except KubectlError as error:
        return str(error)
    return ""


def found(*arguments: str) -> dict[str, Any]:
    """Objects as `kubectl get` finds them."""
    answer: dict[str, Any] = json.loads(kubectl("get", *arguments, "--output=json"))
    return answer


def exists(*arguments: str) -> bool:
    return kubectl("get", *arguments, "--ignore-not-found", "--output=name").strip() != ""


def apply(objects: list[dict[str, Any]], *options: str) -> str:
    return kubectl("apply", *options, "--filename=-", given=yaml.safe_dump_all(objects))


def secret(name: str, namespace: str, values: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": values,
    }


def namespace(name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}


def restarts(name: str) -> dict[str, int]:
    """How often each container of a namespace's pods was started again, but those that wait for a model."""
    counts = {}
    for pod in found("pods", f"--namespace={name}")["items"]:
        for status in pod["status"].get("containerStatuses", ()):
            counts[f"{pod['metadata']['name']}/{status['name']}"] = status["restartCount"]
    return counts


@contextmanager
def forwarded(name: str, service: str, port: int, local: int | None = None) -> Iterator[int]:
    """A port of this machine that leads to a Service, while the block runs.

    kubectl follows one pod and ends with it, or when the connection is lost: then it is started again.
    """
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", local or 0))
        ours = int(free.getsockname()[1])
    command = ["kubectl", "port-forward", f"--namespace={name}", f"service/{service}", f"{ours}:{port}"]
    forwarding = _KeptUp(command)
    forwarding.start()
    try:
        deadline = time.monotonic() + SECONDS
        while not _answers(ours):
            if time.monotonic() > deadline:
                raise KubectlError(f"no port of service {service} answers: {forwarding.said}")
            time.sleep(0.5)
        yield ours
    finally:
        forwarding.stop()


class _KeptUp(threading.Thread):
    """Runs a command and starts it again when it ends, until `stop`. said: its last words on standard error."""

    def __init__(self, command: list[str]) -> None:
        super().__init__(daemon=True)
        self.said = ""
        self._command = command
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._process: subprocess.Popen[str] | None = None

    def run(self) -> None:
        while not self._stopped.wait(1):
            with self._lock:
                if self._stopped.is_set():
                    return
                self._process = subprocess.Popen(
                    self._command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
            self.said = " ".join(self._process.communicate()[1].split())

    def stop(self) -> None:
        with self._lock:
            self._stopped.set()
            if self._process is not None:
                self._process.terminate()
        self.join()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

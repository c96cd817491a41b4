"""The little of Kubernetes' API that `infra.deploy` uses, over HTTP: one Deployment and what becomes of its pods."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

PATH = "/apis/apps/v1/namespaces/labs/deployments/music-api"
TOKEN = "somebody"


@dataclass
class Cluster:
    """damaged: digests whose pods never become ready. rolled: every digest that the pods were told, in order."""

    address: str
    deployment: dict[str, Any]
    damaged: set[str] = field(default_factory=set)
    rolled: list[str] = field(default_factory=list)
    asked_since: int = 0

    def patch(self, patch: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        metadata = self.deployment["metadata"]
        if patch["metadata"].pop("resourceVersion", metadata["resourceVersion"]) != metadata["resourceVersion"]:
            return 409, {"reason": "Conflict"}
        before = json.dumps(self.deployment["spec"])
        _merge(self.deployment, patch)
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        if json.dumps(self.deployment["spec"]) != before:
            metadata["generation"] += 1
            self.rolled.append(self.deployment["spec"]["template"]["metadata"]["annotations"]["labs/model-digest"])
            self.asked_since = 0
        return 200, self.deployment

    def get(self) -> dict[str, Any]:
        """As its controller does: first nothing has been noticed, then one pod is new, then all or the deadline."""
        status, spec = self.deployment["status"], self.deployment["spec"]
        replicas = spec["replicas"]
        self.asked_since += 1
        if self.asked_since == 1 or not self.rolled:
            return self.deployment
        status["observedGeneration"] = self.deployment["metadata"]["generation"]
        ready = self.rolled[-1] not in self.damaged
        new = 1 if self.asked_since == 2 or not ready else replicas
        waiting = 0 if new == replicas else 1
        status |= {"updatedReplicas": new, "replicas": replicas + waiting, "availableReplicas": replicas}
        failed = not ready and self.asked_since > 2
        reason = "ProgressDeadlineExceeded" if failed else "NewReplicaSetAvailable"
        progressing = {"type": "Progressing", "status": "False" if failed else "True", "reason": reason}
        status["conditions"] = [progressing | {"message": f"it says {reason}"}]
        return self.deployment


@contextmanager
def cluster(deployment: dict[str, Any]) -> Iterator[Cluster]:
    """A server of a Deployment as a manifest has it, with two replicas."""
    deployment["metadata"] |= {"resourceVersion": "1", "generation": 1}
    deployment["spec"]["replicas"] = 2
    deployment["status"] = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                self._answer(lambda: (200, here.get()))

        def do_PATCH(self) -> None:
            length = int(self.headers["content-length"])
            body = json.loads(self.rfile.read(length))
            with lock:
                self._answer(lambda: here.patch(body))

        def _answer(self, work: Any) -> None:
            if self.headers.get("authorization") != f"Bearer {TOKEN}":
                status, content = 401, {"reason": "Unauthorized"}
            elif self.path.split("?")[0] != PATH:
                status, content = 404, {"reason": "NotFound"}
            else:
                status, content = work()
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Cluster(f"http://127.0.0.1:{server.server_port}", deployment)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()


def write_configuration(path: Path, address: str, token: str = TOKEN) -> None:
    """A file as kubectl reads it."""
    name = "test"
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": address}}],
        "users": [{"name": name, "user": {"token": token}}],
    }
    path.write_text(yaml.safe_dump(configuration))


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value

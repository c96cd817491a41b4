"""A server that speaks as much of Kubernetes' API as a task needs that trains by a TrainJob.

It does what Kubeflow Trainer does, on one machine: it runs the job's own command, and says how that ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob

JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs"
PODS = "/api/v1/namespaces/team/pods"


@dataclass
class Kubernetes:
    """environment: of the pods. made: every job that was created."""

    host: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    made: list[dict[str, Any]] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    readers: dict[str, threading.Thread] = field(default_factory=dict)

    def create(self, job: dict[str, Any]) -> dict[str, Any]:
        name = job["metadata"]["name"]
        read = TrainerV1alpha1TrainJob.from_dict(job)
        assert read is not None
        assert read.to_dict() == job, "the published schema has other fields"
        trainer = job["spec"]["trainer"]
        told = {variable["name"]: variable["value"] for variable in trainer["env"] if "value" in variable}
        pod = subprocess.Popen(
            trainer["command"],
            # One machine with one process, which finds its own port: the usual one may be another test's.
            env={**os.environ, **told, "PET_NPROC_PER_NODE": "1", "PET_STANDALONE": "1", **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.made.append(job)
        self.jobs[name], self.pods[name], self.logs[name] = job, pod, []
        self.readers[name] = threading.Thread(target=self._read, args=(name,), daemon=True)
        self.readers[name].start()
        return job

    def status(self, name: str) -> dict[str, Any]:
        if self.readers[name].is_alive():
            return {"conditions": []}
        code = self.pods[name].wait()
        reason = {"type": "Complete"} if code == 0 else {"type": "Failed", "message": f"exit code {code}"}
        return {"conditions": [{**reason, "status": "True"}]}

    def _read(self, name: str) -> None:
        stdout = self.pods[name].stdout
        assert stdout is not None
        self.logs[name].extend(line for line in stdout)


@contextmanager
def kubernetes() -> Iterator[Kubernetes]:
    state = Kubernetes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.host = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def _handler(state: Kubernetes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, query = self.path.partition("?")
            name = path.removeprefix(JOBS).strip("/")
            if path.startswith(PODS):
                status, answer = 200, _pods(state, path, query)
            elif self.command == "POST":
                status, answer = 201, state.create(json.loads(body))
            elif name not in state.jobs:
                status, answer = 404, {"message": f'trainjobs "{name}" not found'}
            elif self.command == "DELETE":
                status, answer = 200, state.jobs.pop(name)
            else:
                status, answer = 200, {**state.jobs[name], "status": state.status(name)}
            content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


def _pods(state: Kubernetes, path: str, query: str) -> Any:
    if path != PODS:
        return "".join(state.logs[path.split("/")[-2].removesuffix("-node-0-0")])
    assert "jobset-name" in query
    items = [{"metadata": {"name": f"{name}-node-0-0"}} for name in state.jobs]
    return {"apiVersion": "v1", "kind": "PodList", "items": items}

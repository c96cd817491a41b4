"""The part of Kubernetes' API that `infra.deploy` uses, over HTTP: one Deployment, and what becomes of its pods.

Answers are made with the models that Kubernetes' own client publishes, so that a field with another name is noticed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import yaml
from kubernetes import client as models

DEPLOYMENTS = "/apis/apps/v1/namespaces/labs/deployments"
PODS = "/api/v1/namespaces/labs/pods"
TOKEN = "somebody"


@dataclass
class Trouble:
    """What keeps a pod from being ready. status: of the pod; log: of its container, by name."""

    status: models.V1PodStatus
    log: dict[str, str] = field(default_factory=dict)


@dataclass
class Cluster:
    """troubles: by digest, what its pods meet. rolled: every digest that the pods were told, in order.

    replica_sets: every template that pods were made from. busy: how many patches are refused because the Deployment
    has changed meanwhile, as it does whenever a pod's state changes.
    """

    address: str
    deployment: dict[str, Any]
    troubles: dict[str, Trouble] = field(default_factory=dict)
    rolled: list[str] = field(default_factory=list)
    replica_sets: list[str] = field(default_factory=list)
    busy: int = 0
    asked_since: int = 0
    failures: int = 0

    @property
    def template(self) -> dict[str, Any]:
        found: dict[str, Any] = self.deployment["spec"]["template"]["metadata"].setdefault("annotations", {})
        return found

    @property
    def trouble(self) -> Trouble | None:
        return self.troubles.get(self.template.get("labs/model-digest", ""))

    def patch(self, patch: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        metadata = self.deployment["metadata"]
        if self.busy:
            self.busy -= 1
            self._changed()
        wanted = patch["metadata"].pop("resourceVersion", metadata["resourceVersion"])
        if wanted != metadata["resourceVersion"]:
            return 409, {"reason": "Conflict"}
        before = json.dumps(self.deployment["spec"], sort_keys=True)
        _merge(self.deployment, patch)
        self._changed()
        if (now := json.dumps(self.deployment["spec"], sort_keys=True)) != before:
            metadata["generation"] += 1
            self.rolled.append(self.template["labs/model-digest"])
            self.asked_since = 0
            if now not in self.replica_sets:
                self.replica_sets.append(now)
        return 200, self.deployment

    def get(self) -> dict[str, Any]:
        """As its controller does: first nothing has been noticed, then one pod is new, then all or the deadline."""
        status, replicas = self.deployment["status"], self.deployment["spec"]["replicas"]
        self.asked_since += 1
        if self.asked_since == 1 or not self.rolled:
            return self.deployment
        status["observedGeneration"] = self.deployment["metadata"]["generation"]
        new = 1 if self.asked_since == 2 or self.trouble else replicas
        waiting = 0 if new == replicas else 1
        status |= {"updatedReplicas": new, "replicas": replicas + waiting, "availableReplicas": replicas}
        failed = self.trouble is not None and self.asked_since > 2
        self.failures += failed and self.asked_since == 3
        reason = "ProgressDeadlineExceeded" if failed else "NewReplicaSetAvailable"
        condition = {
            "type": "Progressing",
            "status": "False" if failed else "True",
            "reason": reason,
            "message": f"it says {reason}",
            "lastUpdateTime": f"2026-01-01T00:00:{self.failures:02}Z",
        }
        if not (self.asked_since == 2 and self.trouble):  # a failure stays until the controller knows better
            status["conditions"] = [condition]
        return self.deployment

    def pods(self) -> dict[str, Any]:
        """One pod of the newest template, and one that an older rollout left, which is not of interest."""
        trouble = self.trouble
        old = self._pod("old", {"labs/rolled-out-at": "long ago"}, _unschedulable("an old pod says this"))
        status = trouble.status if trouble else models.V1PodStatus(phase="Running")
        pods = models.V1PodList(items=[old, self._pod("new", dict(self.template), status)])
        return dict(models.ApiClient().sanitize_for_serialization(pods))

    def log(self, container: str) -> str:
        return self.trouble.log[container] if self.trouble else ""

    def _pod(self, name: str, annotations: dict[str, str], status: models.V1PodStatus) -> models.V1Pod:
        labels = self.deployment["spec"]["template"]["metadata"]["labels"]
        return models.V1Pod(
            metadata=models.V1ObjectMeta(name=name, labels=labels, annotations=annotations), status=status
        )

    def _changed(self) -> None:
        metadata = self.deployment["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)


def _unschedulable(message: str) -> models.V1PodStatus:
    condition = models.V1PodCondition(type="PodScheduled", status="False", reason="Unschedulable", message=message)
    return models.V1PodStatus(phase="Pending", conditions=[condition])


def no_room() -> Trouble:
    """A node whose CPU is taken, in the scheduler's words."""
    return Trouble(_unschedulable("0/1 nodes are available: 1 Insufficient cpu."))


def no_such_model(line: str) -> Trouble:
    """An init container that ends with an error, and is started again."""
    ended = models.V1ContainerStateTerminated(exit_code=2, reason="Error")
    waiting = models.V1ContainerStateWaiting(reason="CrashLoopBackOff", message="back-off 20s restarting")
    init = models.V1ContainerStatus(
        name="bundle",
        image="labs-fetch:dev",
        image_id="",
        ready=False,
        restart_count=2,
        state=models.V1ContainerState(waiting=waiting),
        last_state=models.V1ContainerState(terminated=ended),
    )
    main = models.V1ContainerStatus(
        name="api",
        image="labs-music:dev",
        image_id="",
        ready=False,
        restart_count=0,
        state=models.V1ContainerState(waiting=models.V1ContainerStateWaiting(reason="PodInitializing")),
    )
    status = models.V1PodStatus(phase="Pending", init_container_statuses=[init], container_statuses=[main])
    return Trouble(status, {"bundle": f"INFO it begins\n{line}\n\n"})


@contextmanager
def cluster(deployment: dict[str, Any], lab: str = "music") -> Iterator[Cluster]:
    """A server of a lab's Deployment as a manifest has it, with two replicas."""
    deployment["metadata"] |= {"resourceVersion": "1", "generation": 1}
    deployment["spec"]["replicas"] = 2
    deployment["status"] = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            with lock:
                if path == f"{DEPLOYMENTS}/{deployment['metadata']['name']}":
                    self._answer(lambda: (200, here.get()))
                elif path == PODS:
                    assert parse_qs(query)["labelSelector"] == [f"labs/lab={lab}"]
                    self._answer(lambda: (200, here.pods()))
                elif path == f"{PODS}/new/log":
                    self._answer(lambda: (200, here.log(parse_qs(query)["container"][0])))
                else:
                    self._answer(lambda: (404, {"reason": "NotFound"}))

        def do_PATCH(self) -> None:
            length = int(self.headers["content-length"])
            body = json.loads(self.rfile.read(length))
            with lock:
                self._answer(lambda: here.patch(body))

        def _answer(self, work: Any) -> None:
            if self.headers.get("authorization") != f"Bearer {TOKEN}":
                status, content = 401, {"reason": "Unauthorized"}
            else:
                status, content = work()
            text = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "text/plain" if isinstance(content, str) else "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Cluster(f"http://127.0.0.1:{server.server_port}", deployment)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
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
        elif value is None:
            target.pop(key, None)
        else:
            target[key] = value

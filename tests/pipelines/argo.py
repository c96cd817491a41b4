"""A run's Workflow as Argo writes it, for the stand-in of Kubeflow's API: the nodes, their names, ids and pods.

The tree is what a real Kubeflow 2.17 was seen to list, and what its compiler makes: for each task a driver, a group of
the task's name and an `executor` inside, around which, where there are retries, is a node for all attempts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import kfp_server_api as api

BEGUN = datetime(2026, 11, 29, 8, 0, tzinfo=UTC)
NEVER = datetime(1, 1, 1, tzinfo=UTC)
"""What Kubeflow gives as the end of a node that has not ended."""
PHASES = {"Succeeded": "SUCCEEDED", "Failed": "FAILED", "Error": "FAILED", "Running": "RUNNING", "Pending": "PENDING"}
PHASES |= {"Skipped": "SKIPPED", "Omitted": "RUNTIME_STATE_UNSPECIFIED"}
"""Argo's phases as Kubeflow's API tells them."""


@dataclass
class Workflow:
    """steps are added in their order; each takes the time that the last one left off at."""

    name: str = "mlp-x7k2p"
    namespace: str = "kubeflow"
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    clock: int = 0
    stopped: bool = False
    """On demand: Kubeflow then sets the Workflow's deadline to nothing (ResourceManager.TerminateRun)."""

    def __post_init__(self) -> None:
        self._node(self.name, "DAG", "Running", end=None)
        for name in ("root-driver", "root.exit-handler-1-driver"):
            self._node(f"{self.name}.{name}", "Pod", "Succeeded", seconds=2, template="system-dag-driver")
        for name in ("root", "root.exit-handler-1"):
            self._node(f"{self.name}.{name}", "DAG", "Running", end=None)

    def step(
        self,
        name: str,
        phase: str = "Succeeded",
        seconds: int = 20,
        message: str = "",
        failed_attempts: int = 0,
        retried: bool = True,
        group: str = "root.exit-handler-1",
    ) -> Workflow:
        """phase: of the work; `Cached`; or `Driver` where the task's driver failed with the message."""
        path = f"{self.name}.{group}.{name}"
        driver = "Failed" if phase == "Driver" else "Succeeded"
        words = message if phase == "Driver" else ""
        self._node(f"{path}-driver", "Pod", driver, words, seconds=10, template="system-container-driver")
        if phase == "Driver":
            self._node(path, "DAG", "Omitted")
            return self
        ended = phase not in ("Running", "Pending")
        whole = {"Cached": "Succeeded", "Pending": "Running"}.get(phase, phase)
        begun = self.clock
        attempts = []
        if phase == "Cached":
            self._node(f"{path}.executor", "Skipped", "Skipped", seconds=0)
        elif retried:
            phases = ["Failed"] * failed_attempts + [phase]
            for number, of_attempt in enumerate(phases):
                attempt = f"{path}.executor({number})"
                self._pod(attempt, of_attempt, message, seconds)
                attempts.append(self._id(attempt))
            self._node(f"{path}.executor", "Retry", whole, end=ended, since=begun, children=attempts)
        else:
            self._pod(f"{path}.executor", phase, message, seconds)
        self._node(path, "DAG", whole, end=ended, since=begun)
        return self

    def closed(self) -> Workflow:
        return self.step("close-run", seconds=8, group="root.exit-handler-1.onExit")

    def manifest(self) -> str:
        """As the API of Kubeflow's first version gives it."""
        metadata = {"name": self.name, "namespace": self.namespace, "annotations": {}}
        spec = {"activeDeadlineSeconds": 0} if self.stopped else {}
        return json.dumps({"metadata": metadata, "spec": spec, "status": {"nodes": self.nodes}})

    def details(self) -> list[Any]:
        """As the API of its second version lists them: without a message, and nothing that names a node's pod."""
        return [
            api.V2beta1PipelineTaskDetail(
                task_id=f"task-{number:03}",
                display_name=node["displayName"],
                state=PHASES[node["phase"]],
                create_time=BEGUN,
                start_time=datetime.fromisoformat(node["startedAt"]),
                end_time=datetime.fromisoformat(node["finishedAt"]) if node["finishedAt"] else NEVER,
                child_tasks=[api.PipelineTaskDetailChildTask(pod_name=child) for child in node["children"]],
            )
            for number, node in enumerate(self.nodes.values())
        ]

    def pod(self, path: str, template: str = "retry-system-container-impl") -> str:
        """The name of a pod by its node's path below the pipeline's steps."""
        return f"{self.name}-{template}-{_hash(f'{self.name}.root.exit-handler-1.{path}')}"

    def _pod(self, name: str, phase: str, message: str, seconds: int) -> None:
        template = "retry-system-container-impl" if name.endswith(")") else "system-container-impl"
        ended = phase not in ("Running", "Pending")
        said = message if phase != "Succeeded" else ""
        self._node(name, "Pod", phase, said, seconds=seconds, end=ended, template=template)

    def _node(
        self,
        name: str,
        kind: str,
        phase: str,
        message: str = "",
        seconds: int = 0,
        end: bool | None = True,
        since: int | None = None,
        template: str = "",
        children: list[str] | None = None,
    ) -> None:
        begun = self.clock if since is None else since
        if since is None:
            self.clock += seconds
        self.nodes[self._id(name)] = {
            "id": self._id(name),
            "name": name,
            "displayName": name.rpartition(".")[2],
            "type": kind,
            "phase": phase,
            "message": message,
            "templateName": template,
            "startedAt": _time(begun),
            "finishedAt": _time(self.clock) if end else None,
            "children": children or [],
        }

    def _id(self, name: str) -> str:
        return self.name if name == self.name else f"{self.name}-{_hash(name)}"


def _time(seconds: int) -> str:
    return (BEGUN + timedelta(seconds=seconds)).isoformat()


def _hash(name: str) -> int:
    """FNV-1a of 32 bits, which Argo makes ids of."""
    value = 2166136261
    for byte in name.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value

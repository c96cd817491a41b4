"""A run of a pipeline as its user sees it: the product's steps, and of a run that fails the reason and the last lines.

Kubeflow lists a run's tasks as Argo's nodes: a driver and a group beside every task, and inside the group a node that
is always called `executor` and does the work, or is skipped where the outputs came from the cache.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipelines.cluster import ENDED, find_run
from pipelines.config import TASKS
from pipelines.connection import Kubeflow

if TYPE_CHECKING:
    from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run

log = logging.getLogger(__name__)

STEPS = frozenset(name.replace("_", "-") for name in (*TASKS, "close_run"))
DRIVER = "-driver"
EXECUTOR = re.compile(r"executor(\(\d+\))?")
"""With a number: one attempt of several."""
LOG_LINES = 12
CANCELLING = ("CANCELING", "CANCELED")


@dataclass(frozen=True)
class Step:
    """A task of the product. state: the task's, in Kubeflow's words. seconds: None until it has ended."""

    name: str
    state: str
    seconds: float | None
    cached: bool = False
    attempts: int = 1

    def __str__(self) -> str:
        if self.seconds is None:
            return f"{self.name}: {'waits for its pod' if self.state == 'PENDING' else 'runs'}"
        how = "from the cache" if self.cached else duration(self.seconds)
        tried = f", {self.attempts} attempts" if self.attempts > 1 else ""
        return f"{self.name}: {how}{tried}" if self.state == "SUCCEEDED" else f"{self.name}: {self.state} after {how}"


@dataclass(frozen=True)
class Failure:
    """Why a step failed. log: the last lines that it wrote, as far as Kubeflow still has them."""

    step: str
    reason: str
    pod: str
    namespace: str
    log: tuple[str, ...]


def follow(kubeflow: Kubeflow, run_id: str, poll_seconds: float) -> str:
    """Logs every step as it starts and ends, until the run ends; returns SUCCEEDED, FAILED or CANCELED.

    Of a failed run, logs the steps that failed with their reason and their last lines.
    """
    shown: dict[str, str] = {}
    cancelled = False
    while True:
        run = find_run(kubeflow, run_id)
        now = steps(run)
        waits = any(step.state == "PENDING" for step in now.values())
        reasons = pending_pods(kubeflow.workflow(run_id)) if waits else {}
        for key, step in now.items():
            reason = reasons.get(step.name) if step.state == "PENDING" else None
            words = f"{step} ({reason})" if reason else str(step)
            if shown.get(key) != words:
                shown[key] = words
                log.info("%s", words)
        cancelled = cancelled or was_cancelled(run)
        if run.state in ENDED:
            break
        time.sleep(poll_seconds)
    state = str(run.state)
    if state != "SUCCEEDED" and (cancelled or was_terminated(kubeflow.workflow(run_id))):
        state = "CANCELED"
    if state == "FAILED":
        for failure in failures(kubeflow, run):
            log.error("%s", told(failure))
    return state


def steps(run: V2beta1Run) -> dict[str, Step]:
    """The product's steps that have begun, by a key that stays the same from look to look, in the order they began."""
    details = [one for one in _details(run) if one.display_name and one.task_id]
    work = [one for one in details if EXECUTOR.fullmatch(one.display_name)]
    found: dict[str, Step] = {}
    for detail in sorted(details, key=lambda one: (_moment(one.start_time) or 0.0, one.task_id)):
        name = detail.display_name
        if name in STEPS and detail.state not in (None, "RUNTIME_STATE_UNSPECIFIED", "SKIPPED"):
            found[detail.task_id] = _step(detail, work)
        elif name.removesuffix(DRIVER) in STEPS and detail.state == "FAILED":
            found[detail.task_id] = Step(name.removesuffix(DRIVER), "FAILED", _seconds(detail))
    return found


def was_cancelled(run: V2beta1Run) -> bool:
    """Kubeflow ends a run that was cancelled as FAILED; that it was, its history tells, if it was seen in between."""
    states = [run.state, *(status.state for status in run.state_history or ())]
    return any(state in CANCELLING for state in states)


def was_terminated(workflow: Mapping[str, Any]) -> bool:
    """Whether Kubeflow stopped the run on demand, which it does by a deadline of zero seconds in the Workflow."""
    return bool(workflow.get("spec", {}).get("activeDeadlineSeconds") == 0)


def failures(kubeflow: Kubeflow, run: V2beta1Run) -> list[Failure]:
    """The steps of a run that failed. Where Kubeflow does not tell its workflow, without a reason."""
    workflow = kubeflow.workflow(str(run.run_id))
    nodes = failed_pods(workflow)
    if not nodes:
        names = dict.fromkeys(step.name for step in steps(run).values() if step.state == "FAILED")
        return [Failure(name, "Kubeflow does not say why", "", "", ()) for name in names]
    namespace = workflow.get("metadata", {}).get("namespace", "")
    found = []
    for step, node in nodes.items():
        pod = _pod_name(workflow, node)
        text = kubeflow.pod_log(str(run.run_id), pod, namespace)
        lines = tuple(line.rstrip() for line in text.splitlines() if line.strip())[-LOG_LINES:]
        found.append(Failure(step, node.get("message") or node["phase"], pod, namespace, lines))
    return found


def failed_pods(workflow: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The last failed pod of every step that failed, by the step's name, in the order of their ends."""
    nodes = _nodes(workflow)
    failed = [node for node in _pods(nodes, "Failed", "Error") if not _made_good(nodes, node)]
    return {_step_of(node): node for node in sorted(failed, key=lambda one: str(one.get("finishedAt")))}


def pending_pods(workflow: Mapping[str, Any]) -> dict[str, str]:
    """What the pods that have not started wait for, by the name of their step."""
    return {_step_of(node): node["message"] for node in _pods(_nodes(workflow), "Pending") if node.get("message")}


def told(failure: Failure) -> str:
    lines = [f"{failure.step} failed: {failure.reason}", *(f"  {line}" for line in failure.log)]
    if failure.pod and not failure.log:
        where = f"-n {failure.namespace} " if failure.namespace else ""
        lines.append(f"  its log is gone from Kubeflow; perhaps `kubectl {where}logs {failure.pod} -c main` has it")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _step(detail: V2beta1PipelineTaskDetail, work: list[V2beta1PipelineTaskDetail]) -> Step:
    # Nothing links an `executor` to its task but time: a task's own begins while the task's group is open, and between
    # two tasks a driver runs for seconds. Trainings of a sweep overlap; there one that ran counts for its neighbours.
    begun, ended = _moment(detail.start_time), _moment(detail.end_time)
    inside = [
        one
        for one in work
        if begun is not None and (start := _moment(one.start_time)) is not None
        if begun <= start and (ended is None or start <= ended)
    ]
    ran = [one for one in inside if one.state != "SKIPPED"]
    # Where a task may be tried again, there is a node for each attempt and one around them all.
    attempts = [one for one in ran if "(" in one.display_name]
    around = [one for one in ran if one not in attempts]
    seconds = _seconds(detail)
    open_ = [one.state for one in attempts or ran if one.state in ("RUNNING", "PENDING")]
    waiting = seconds is None and bool(open_) and set(open_) == {"PENDING"}
    return Step(
        name=detail.display_name,
        state="PENDING" if waiting else str(detail.state),
        seconds=seconds,
        cached=bool(inside) and not ran,
        attempts=len(attempts) if len(around) == 1 else 1,
    )


def _nodes(workflow: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return workflow.get("status", {}).get("nodes") or {}


def _pods(nodes: Mapping[str, Mapping[str, Any]], *phases: str) -> list[Mapping[str, Any]]:
    """The pods of steps that are in one of these phases."""
    found = (node for node in nodes.values() if node.get("type") == "Pod" and node.get("phase") in phases)
    return [node for node in found if _step_of(node)]


def _step_of(node: Mapping[str, Any]) -> str:
    """The step that a node belongs to; "" for none. Names go from the workflow down: x.root.steps.train.executor"""
    parts = (part.removesuffix(DRIVER) for part in reversed(str(node["name"]).split(".")))
    return next((part for part in parts if part in STEPS), "")


def _details(run: V2beta1Run) -> Iterator[V2beta1PipelineTaskDetail]:
    yield from (run.run_details.task_details if run.run_details else None) or ()


def _seconds(detail: V2beta1PipelineTaskDetail) -> float | None:
    """None while it runs: Kubeflow gives the beginning of its calendar for an end that is not yet."""
    begun, ended = _moment(detail.start_time), _moment(detail.end_time)
    if begun is None or ended is None or ended < begun or detail.state in ("RUNNING", "PENDING"):
        return None
    return ended - begun


def _moment(value: datetime | None) -> float | None:
    return value.replace(tzinfo=value.tzinfo or UTC).timestamp() if value and value.year > 1970 else None


def _made_good(nodes: Mapping[str, Mapping[str, Any]], node: Mapping[str, Any]) -> bool:
    """Whether a later attempt succeeded."""
    parents = (one for one in nodes.values() if one.get("type") == "Retry" and node["id"] in one.get("children", ()))
    return any(parent.get("phase") == "Succeeded" for parent in parents)


def _pod_name(workflow: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """As Argo names pods: workflow, template and the hash that ends the node's id; in its first version, the id."""
    metadata = workflow.get("metadata", {})
    version = (metadata.get("annotations") or {}).get("workflows.argoproj.io/pod-name-format")
    if version == "v1" or not node.get("templateName"):
        return str(node["id"])
    return f"{metadata['name']}-{node['templateName']}-{str(node['id']).rpartition('-')[2]}"

"""The end of a pipeline run: its MLflow run is closed whatever Kubeflow calls the end, and a summary says what came.

Kubeflow's exit task is told one word. It is ML Metadata's: COMPLETE after success, RUNNING after a driver that failed,
other words after a cancel, or nothing. So how a run went is read from what the steps recorded; the word and, where it
answers, Kubeflow's own record of the run only fill in what the steps cannot know.
"""

from __future__ import annotations

import contextlib
import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import UserError
from components.files import write_text
from components.settings import settings
from components.tracking.runs import StepRun, close_parent

READ = ("decision.json", "promotion.json")
CANCELLED = ("CANCELED", "CANCELLED", "CANCELING", "CANCELLING")
SUCCEEDED = ("COMPLETE", "SUCCEEDED", "CACHED")
WORDS = {"FINISHED": "SUCCEEDED", "FAILED": "FAILED", "KILLED": "CANCELLED"}
"""MLflow's states of a run as the summary's."""
SECONDS = 5


@dataclass(frozen=True)
class Told:
    """What Kubeflow says of the run: the exit task's word and error, and where its API answers, the run's state there.

    failed: display names of its tasks that failed, of which drivers record nothing.
    """

    word: str = ""
    error: str = ""
    state: str = ""
    failed: tuple[str, ...] = ()


def close_run(lab: str, word: str | None, error: str | None, page: Path) -> None:
    """Ends the MLflow run and writes the summary to `page`, in any case. Raises MlflowError after that on an outage."""
    state, failed = kubeflow_state()
    told = Told(word or "", error or "", state, failed)
    try:
        steps, status = close_parent(lambda steps: outcome(told, steps), READ)
    except UserError as outage:
        write_text(page, f"# {lab}: not known\n\n- {outage}\n- Kubeflow says {told.word or 'nothing'} of the steps\n")
        raise
    write_text(page, summary(lab, status, told, steps))


def outcome(told: Told, steps: list[StepRun]) -> str:
    """MLflow's status of the run: FINISHED, FAILED or KILLED. steps: as recorded, oldest first."""
    last = {step.step: step for step in steps}
    if "promote" in last and last["promote"].status == "FINISHED":
        return "FINISHED"
    gate = _record(last.get("gate"), "decision.json")
    if gate is not None and gate["verdict"] not in ("PASS", "WAIVED"):  # blocked, which is a result
        return "FINISHED"
    if told.word in CANCELLED or told.state in CANCELLED:
        return "KILLED"
    unfinished = [step for step in last.values() if step.status != "FINISHED"]
    # Steps from the cache record nothing, nor do any while MLflow is away.
    return "FINISHED" if told.word in SUCCEEDED and not unfinished and not told.failed else "FAILED"


def summary(lab: str, status: str, told: Told, steps: list[StepRun]) -> str:
    """Markdown. status: MLflow's. Steps that Kubeflow took from its cache have no run of their own."""
    last = {step.step: step for step in steps}
    lines = [f"# {lab}: {WORDS[status]}", ""]
    if told.error:
        lines += [f"- {told.error}"]
    if status == "FAILED":
        lines += [f"- {_failed(told, steps)}"]
    if (gate := _record(last.get("gate"), "decision.json")) is not None:
        lines += [f"- gate: **{gate['verdict']}**: {'; '.join(gate['reasons'])}"]
    promotion = _record(last.get("promote"), "promotion.json")
    lines += [f"- champion: version {promotion['version']}" if promotion else "- nothing was promoted"]
    lines += ["", "| step | status | seconds | measured |", "|---|---|---|---|"]
    for step in steps:
        measured = ", ".join(f"{name} {value:.4g}" for name, value in sorted(step.metrics.items()))
        lines += [f"| {step.step} | {step.status} | {step.seconds:.0f} | {measured} |"]
    lines += ["", "A step that is not listed was taken from the cache, or not reached."]
    return "\n".join(lines) + "\n"


def kubeflow_state() -> tuple[str, tuple[str, ...]]:
    """The state of this run in Kubeflow's API, and the names of its tasks that failed; ("", ()) where it is silent.

    A pod in Kubeflow's own namespace has the API's address from Kubernetes; elsewhere KUBEFLOW_HOST may give one.
    """
    given = settings()
    service = given.ml_pipeline_service_host
    host = given.kubeflow_host or (f"http://{service}:{given.ml_pipeline_service_port_http}" if service else None)
    if host is None or not host.startswith(("http://", "https://")) or given.repro_run is None:
        return "", ()
    address = f"{host.rstrip('/')}/apis/v2beta1/runs/{given.repro_run}"
    headers = {"Authorization": f"Bearer {given.kubeflow_token}"} if given.kubeflow_token else {}
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - scheme checked
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - scheme checked
            run = json.loads(answer.read())
        tasks = (run.get("run_details") or {}).get("task_details") or ()
        failed = dict.fromkeys(str(task.get("display_name")) for task in tasks if task.get("state") == "FAILED")
        return str(run["state"]), tuple(name for name in failed if _is_ours(name))
    return "", ()


def _is_ours(name: str) -> bool:
    """Whether a task of Kubeflow's list is a task of the pipeline or its driver, and not a group or the run itself."""
    from pipelines.config import TASKS

    return name.removesuffix("-driver").replace("-", "_") in TASKS


def _failed(told: Told, steps: list[StepRun]) -> str:
    failed = dict.fromkeys(step.step for step in steps if step.status != "FINISHED")
    if failed or told.failed:
        return f"failed: {', '.join(dict.fromkeys([*failed, *told.failed]))}"
    said = f"Kubeflow says {told.word} of the steps" if told.word else "Kubeflow says nothing of the steps"
    return f"no step recorded a failure: a driver, an image or a pod failed; the run's page says which ({said})"


def _record(step: StepRun | None, name: str) -> dict[str, Any] | None:
    """A record of a step that finished."""
    if step is None or step.status != "FINISHED" or name not in step.artifacts:
        return None
    found: dict[str, Any] = json.loads(step.artifacts[name])
    return found

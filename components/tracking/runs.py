"""Runs in MLflow. A step only writes a journal; whoever opens MLflow anyway uploads all there are.

Importing MLflow and opening its database takes three seconds, which most steps would spend for a few lines; and a
journal can't be lost to an outage. What a dead process left unfinished is marked KILLED by the next command.
"""

from __future__ import annotations

import logging
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import yaml

from components.errors import UserError
from components.settings import settings
from components.tracking.journal import JOURNALS, Run, journals, milliseconds
from components.tracking.mlflow_client import check_reachable, failures_named
from components.tracking.recorder import Recorded, Recorder
from components.tracking.upload import PARAM_LENGTH, find_run, mlflow_run, recorder, upload, upload_or_warn

if TYPE_CHECKING:
    from pytorch_lightning.loggers.logger import Logger

log = logging.getLogger(__name__)

UPLOAD_SECONDS = 30.0
"""An upload takes half a second of the processor and holds training up for as long: every 5 s cost it a fifth."""
"""Between two uploads of a live run, and between two samples of its system metrics."""


@contextmanager
def tracked(
    subject: str,
    step: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    data: tuple[str, str] | None,
    *,
    live: bool = False,
    folder: Path = JOURNALS,
    parent: Run | None = None,
    id: str | None = None,
) -> Iterator[Run]:
    """Records the block as a run, below `parent`, or the run of this `make repro` where there is one.

    subject: the lab or dataset. params may be nested. data: profile and version of what the step reads.
    id: of a run that goes on where an earlier process left it; its parameters must be the same.
    live: upload every few seconds, for steps that take minutes. folder: of the journals.
    Raises MlflowError before the block when MLflow can't be reached; a later outage is a warning, and the journal
    waits for the next command.
    """
    check_reachable()
    if any(journal.status == "KILLED" for journal in journals(folder)):
        upload_or_warn(folder=folder)
    above = parent.id if parent else settings().repro_run
    run = Run.open(f"{subject} {step}", above, {**tags, "subject": subject, "step": step}, folder, id)
    run.log_params(_flat(params))
    if data is not None:
        run.log_dataset(*data)
    with _ending(run, (lambda: upload_or_warn(folder=folder)) if live else None), _sampled(run, live):
        yield run


@contextmanager
def repro(labs: tuple[str, ...], datasets: tuple[str, ...] = ()) -> Iterator[Run]:
    """The parent run of one `make repro`; its `id`, given to the steps as REPRO_RUN, puts their runs below it.

    At the end every stage of dvc.lock that was skipped is linked to the run that made its output.
    """
    check_reachable()
    run = Run.open(" ".join(["repro", *labs]), None, {"labs": " ".join(labs)})
    with _ending(run, lambda: upload_or_warn(lambda mlflow: _link_stages(mlflow, run, (*labs, *datasets)))):
        yield run


@dataclass(frozen=True)
class StepRun:
    """A finished step below a parent run, as MLflow has it. artifacts: text files of its report, by name."""

    step: str
    status: str
    seconds: float
    metrics: dict[str, float]
    artifacts: dict[str, str]


def finished_steps() -> dict[tuple[str, str], float]:
    """Seconds that each step of a dataset or lab took when it last finished; none where MLflow can't be reached."""
    try:
        mlflow = upload()
        with failures_named():
            found = mlflow.search("attributes.status = 'FINISHED'")
    except UserError:
        return {}
    ended = [run for run in found[::-1] if run.end and "step" in run.tags]  # the newest last, which is what stays
    return {(run.tags["subject"], run.tags["step"]): ((run.end or 0) - run.start) / 1000 for run in ended}


def open_parent(name: str, tags: Mapping[str, str], params: Mapping[str, Any]) -> None:
    """Opens the run that REPRO_RUN names, for steps on other machines to attach to; again after a restart changes none.

    Raises MlflowError.
    """
    parent = _parent()
    mlflow = recorder()
    with failures_named():
        if find_run(mlflow, parent) is None:
            run_id = mlflow.create(name, {**tags, "journal": parent})
            mlflow.log_params(run_id, {key: str(value)[:PARAM_LENGTH] for key, value in _flat(params).items()})


def close_parent(judge: Callable[[list[StepRun]], str], read: tuple[str, ...] = ()) -> tuple[list[StepRun], str]:
    """Ends the run that REPRO_RUN names. Returns the steps below it, oldest first, and its status. Raises MlflowError.

    judge: gives MLflow's FINISHED, FAILED or KILLED by the steps; those that still run then died and are marked KILLED.
    read: text artifacts to bring, where a step has them.
    """
    parent = _parent()
    mlflow = upload()
    with failures_named():
        run_id = find_run(mlflow, parent)
        if run_id is None:  # nothing of it ever reached MLflow
            return [], judge([])
        steps = []
        for child in mlflow.search(f"tags.mlflow.parentRunId = '{run_id}'")[::-1]:
            if child.status == "RUNNING":
                mlflow.end(child.run_id, "KILLED")
                ended = replace(child, status="KILLED", end=milliseconds())
            else:
                ended = child
            steps.append(_step_run(ended, mlflow.artifacts(child.run_id, read)))
        status = judge(steps)
        mlflow.end(run_id, status)
        return steps, status


def _parent() -> str:
    parent = settings().repro_run
    if parent is None:
        raise UserError("REPRO_RUN is not set: it names the run that the steps belong to")
    return parent


def _step_run(run: Recorded, artifacts: dict[str, str]) -> StepRun:
    return StepRun(
        step=run.tags["step"],
        status=run.status,
        seconds=((run.end or run.start) - run.start) / 1000,
        metrics={name: value for name, value in run.metrics.items() if not name.startswith("system/")},
        artifacts=artifacts,
    )


def lightning_logger(run: Run) -> Logger:
    """A Lightning logger that journals metrics. Parameters are logged by `tracked`."""
    from components.lightning import load_lightning

    load_lightning()
    from pytorch_lightning.loggers.logger import Logger

    class JournalLogger(Logger):
        name = "journal"
        version = run.id

        def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
            run.log_metrics(metrics, step or 0)

        def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
            pass

    return JournalLogger()


def _link_stages(mlflow: Recorder, run: Run, subjects: tuple[str, ...]) -> None:
    """Tags finished stages' runs with their output's hash, and the parent with the runs that made the other outputs."""
    lock = Path("dvc.lock")
    if not lock.exists():
        return
    parent = mlflow_run(mlflow, run)
    children = mlflow.search(f"tags.mlflow.parentRunId = '{parent}'")
    finished = {
        f"{child.tags['step']}@{child.tags['subject']}": child.run_id
        for child in children
        if child.status == "FINISHED"
    }
    for stage, output in _outputs(lock, subjects).items():
        if stage in finished:
            mlflow.set_tag(finished[stage], "output", output)
        else:
            step, _, subject = stage.partition("@")
            makers = mlflow.search(f"tags.output = '{output}'")
            mlflow.set_tag(parent, f"skipped/{subject}/{step}", makers[0].run_id if makers else "unknown")


def _outputs(lock: Path, subjects: tuple[str, ...]) -> dict[str, str]:
    """Path and hash of the first output of every stage `step@lab` or `step@dataset` in dvc.lock."""
    stages = yaml.safe_load(lock.read_text(encoding="utf-8")).get("stages", {})
    return {
        name: f"{stage['outs'][0]['path']} {stage['outs'][0]['md5']}"
        for name, stage in stages.items()
        if name.partition("@")[2] in subjects and stage.get("outs")
    }


@contextmanager
def _ending(run: Run, then: Callable[[], None] | None) -> Iterator[None]:
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        run.end(status)
        if then is not None:
            then()


@contextmanager
def _sampled(run: Run, live: bool) -> Iterator[None]:
    """Journals system metrics at the end; when live also every few seconds, and uploads them."""
    psutil.cpu_percent()  # the next call reports the load since this one
    stop = threading.Event()

    def loop() -> None:
        failing = False
        while not stop.wait(UPLOAD_SECONDS):
            run.log_metrics(_system_metrics())
            try:
                upload(run.folder.parent)
                failing = False
            except UserError as error:
                if not failing:
                    log.warning("MLflow failed, %s goes on and journals: %s", run.name, error)
                failing = True

    thread = threading.Thread(target=loop, name="upload", daemon=True)
    if live:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if live:
            thread.join()
        run.log_metrics(_system_metrics())


def _system_metrics() -> dict[str, float]:
    """Under the names that MLflow's own monitor uses."""
    memory = psutil.virtual_memory()
    metrics = {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": memory.used / 1e6,
        "system/system_memory_usage_percentage": memory.percent,
        "system/process_memory_megabytes": psutil.Process().memory_info().rss / 1e6,
    }
    torch = sys.modules.get("torch")
    # Another thread may be in the middle of importing it: then it has no such function yet.
    is_initialized = getattr(getattr(torch, "cuda", None), "is_initialized", None)
    if torch is not None and is_initialized is not None and is_initialized():
        metrics["system/gpu_0_memory_usage_megabytes"] = torch.cuda.memory_allocated(0) / 1e6
    return metrics


def _flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat

"""Journals brought to MLflow: killed anywhere, the next upload ends with the same runs.

Importing MLflow and opening its database takes three seconds, which most steps would spend for a few lines; so steps
write journals, and whoever opens MLflow anyway uploads all there are. A server is spoken to without importing MLflow.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from components.errors import UserError
from components.files import read_json, write_json
from components.tracking.journal import JOURNALS, Journal, Run, journals
from components.tracking.mlflow_client import MlflowError, check_reachable, connect, failures_named
from components.tracking.recorder import ClientRecorder, Measured, Recorder
from components.tracking.rest import RestRecorder

log = logging.getLogger(__name__)

PARAM_LENGTH = 6000
BATCH = 500
"""MLflow's limits: characters of a parameter, and (half of) the metrics in one request."""


def recorder() -> Recorder:
    """The way to MLflow that imports least. Raises MlflowError within seconds where it can't be reached."""
    check_reachable()
    with failures_named():
        return RestRecorder.for_settings() or ClientRecorder(connect())


def upload_or_warn(then: Callable[[Recorder], None] | None = None, folder: Path = JOURNALS) -> None:
    """Uploads every journal, then calls `then`; an MLflow that fails is a warning that names what is not recorded."""
    try:
        mlflow = upload(folder)
        if then is not None:
            with failures_named():
                then(mlflow)
    except UserError as error:
        waiting = ", ".join(journal.start.name for journal in journals(folder))
        log.warning("NOT RECORDED YET: %s (%s); the next command will try again", waiting, error)


def upload(folder: Path = JOURNALS) -> Recorder:
    """Brings MLflow up to date with every journal; finished ones are then removed. Raises MlflowError.

    Killed anywhere, the next upload ends with the same runs: each is found again by its journal's name.
    """
    mlflow = recorder()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"), failures_named():
        for journal in journals(folder):
            _upload(mlflow, journal)
    return mlflow


def mlflow_run(mlflow: Recorder, run: Run) -> str:
    """MLflow's id of a run that has been uploaded at least once."""
    found = find_run(mlflow, run.id)
    if found is None:
        raise MlflowError(f"the run {run.name} is not in MLflow: was its database replaced?")
    return found


def find_run(mlflow: Recorder, journal: str) -> str | None:
    """MLflow's id of the run that a journal was uploaded to."""
    found = mlflow.search(f"tags.journal = '{journal}'")
    return found[0].run_id if found else None


def _upload(mlflow: Recorder, journal: Journal) -> None:
    status = journal.status  # before the events are counted: a run that ends meanwhile is taken up next time
    run_id = find_run(mlflow, journal.id) or _create(mlflow, journal)
    progress = journal.folder / "uploaded.json"
    _log(mlflow, run_id, journal.events[_uploaded(progress, run_id) :])
    write_json(progress, {"run": run_id, "events": len(journal.events)})
    if status != "RUNNING":
        if journal.artifacts.exists():
            mlflow.log_artifacts(run_id, journal.artifacts)
        mlflow.end(run_id, status, journal.ended)
        shutil.rmtree(journal.folder)


def _uploaded(progress: Path, run_id: str) -> int:
    """How many events the run has. All of them again, where that is not known, makes no doubles."""
    try:
        done = read_json(progress)
        return int(done["events"]) if done["run"] == run_id else 0
    except (UserError, LookupError, TypeError, ValueError):
        return 0


def _create(mlflow: Recorder, journal: Journal) -> str:
    start = journal.start
    parent = find_run(mlflow, start.parent) if start.parent else None
    tags = {**start.tags, "journal": journal.id} | ({"mlflow.parentRunId": parent} if parent else {})
    return mlflow.create(start.name, tags, start.time)


def _log(mlflow: Recorder, run_id: str, events: list[dict[str, Any]]) -> None:
    metrics = [
        Measured(name, value, event["time"], event["step"])
        for event in events
        for name, value in event.get("metrics", {}).items()
    ]
    params = {name: value[:PARAM_LENGTH] for event in events for name, value in event.get("params", {}).items()}
    mlflow.log_params(run_id, params)
    for first in range(0, len(metrics), BATCH):
        mlflow.log_metrics(run_id, metrics[first : first + BATCH])
    for event in events:
        if "dataset" in event:
            mlflow.log_dataset(run_id, **event["dataset"])

"""A run is closed by whatever word Kubeflow has for its end, and its summary says what came of it."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from components.errors import UserError
from components.settings import settings
from components.tracking.journal import Run
from components.tracking.mlflow_client import connect
from components.tracking.runs import StepRun, open_parent
from pipelines.summary import Told, close_run, kubeflow_state, outcome
from tests.components.conftest import empty_database, workplace

__all__ = ["empty_database", "workplace"]

WORDS = (
    "COMPLETE",
    "SUCCEEDED",
    "CACHED",
    "RUNNING",
    "FAILED",
    "NEW",
    "UNKNOWN",
    "CANCELED",
    "CANCELLED",
    "",
    None,
    "?",
)
"""ML Metadata's, the SDK's, both spellings, none at all, and one that nobody has heard of."""


def step(name: str, status: str = "FINISHED", **records: Any) -> StepRun:
    texts = {f"{record}.json": json.dumps(value) for record, value in records.items()}
    return StepRun(name, status, 1.0, {}, texts)


PASSED = step("gate", decision={"verdict": "PASS", "reasons": ["good"]})
BLOCKED = step("gate", decision={"verdict": "FAIL", "reasons": ["bad"]})
PROMOTED = step("promote", promotion={"version": "3"})


@pytest.mark.parametrize("word", WORDS)
def test_a_run_that_reached_its_end_has_finished_whatever_it_is_called(word: str | None) -> None:
    assert outcome(Told(word or ""), [PASSED, PROMOTED]) == "FINISHED"
    assert outcome(Told(word or ""), [BLOCKED]) == "FINISHED", "a blocked candidate is a result"


@pytest.mark.parametrize("word", WORDS)
def test_a_run_that_broke_off_has_not_finished_whatever_it_is_called(word: str | None) -> None:
    killed = "KILLED" if word in ("CANCELED", "CANCELLED") else "FAILED"
    for steps in ([step("train", "FAILED")], [step("train", "KILLED")], [PASSED, step("promote", "FAILED")]):
        assert outcome(Told(word or ""), steps) == killed


@pytest.mark.parametrize("word", WORDS)
def test_steps_that_end_before_the_gate_have_finished_only_where_kubeflow_says_so(word: str | None) -> None:
    """As after a driver that failed, of which no step knows: ML Metadata then says RUNNING."""
    wanted = "FINISHED" if word in ("COMPLETE", "SUCCEEDED", "CACHED") else "FAILED"
    wanted = "KILLED" if word in ("CANCELED", "CANCELLED") else wanted
    assert outcome(Told(word or ""), [step("train"), step("evaluate")]) == wanted


def test_what_no_step_recorded_is_taken_from_kubeflow() -> None:
    """A driver records nothing; nor does a step while MLflow is away."""
    assert outcome(Told("RUNNING"), [step("evaluate")]) == "FAILED"
    assert outcome(Told("COMPLETE"), [step("evaluate")]) == "FINISHED"
    assert outcome(Told("COMPLETE", failed=("gate-driver",)), [step("evaluate")]) == "FAILED"
    assert outcome(Told("RUNNING", state="CANCELING"), [step("train", "KILLED")]) == "KILLED"


def test_a_step_that_was_tried_again_counts_by_its_last_attempt() -> None:
    assert outcome(Told("COMPLETE"), [step("train", "FAILED"), step("train"), step("evaluate")]) == "FINISHED"
    assert outcome(Told("FAILED"), [PASSED, step("promote", "FAILED"), PROMOTED]) == "FINISHED"


@pytest.fixture
def run(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run of a pipeline, open in MLflow. Returns its journal's name."""
    name = uuid.uuid4().hex
    monkeypatch.setenv("REPRO_RUN", name)
    settings.cache_clear()
    open_parent("kubeflow mlp", {"lab": "mlp"}, {})
    return name


def recorded(name: str, status: str, folder: Path, parent: str, **records: Any) -> None:
    """A step's journal, as its task uploads it."""
    journal = Run.open(f"mlp {name}", parent, {"lab": "mlp", "step": name})
    for record, value in records.items():
        file = folder / f"{record}.json"
        file.write_text(json.dumps(value))
        journal.log_artifact(file)
    if status != "RUNNING":
        journal.end(status)


def status_of(name: str) -> str:
    mlflow: MlflowClient = connect()
    (experiment,) = [one for one in mlflow.search_experiments() if one.name == "labs"]
    (found,) = mlflow.search_runs([experiment.experiment_id], f"tags.journal = '{name}'")
    return str(found.info.status)


@pytest.mark.parametrize("word", WORDS)
def test_the_mlflow_run_is_closed_and_a_summary_is_there_for_every_word(
    word: str | None, run: str, tmp_path: Path
) -> None:
    recorded("evaluate", "FINISHED", tmp_path, run)
    recorded("gate", "FAILED", tmp_path, run)
    close_run("mlp", word, None, tmp_path / "summary")
    assert status_of(run) == ("KILLED" if word in ("CANCELED", "CANCELLED") else "FAILED")
    said = (tmp_path / "summary").read_text()
    assert said.startswith(f"# mlp: {'CANCELLED' if status_of(run) == 'KILLED' else 'FAILED'}\n")
    assert "- nothing was promoted" in said
    assert "| gate | FAILED |" in said


def test_the_summary_says_what_was_decided_and_promoted(run: str, tmp_path: Path) -> None:
    recorded("gate", "FINISHED", tmp_path, run, decision={"verdict": "PASS", "reasons": ["accuracy 0.99"]})
    recorded("promote", "FINISHED", tmp_path, run, promotion={"version": "3"})
    close_run("mlp", "RUNNING", "", tmp_path / "summary")
    assert status_of(run) == "FINISHED"
    said = (tmp_path / "summary").read_text()
    for words in ("# mlp: SUCCEEDED", "gate: **PASS**: accuracy 0.99", "champion: version 3"):
        assert words in said


def test_a_failure_that_no_step_recorded_is_said_as_far_as_it_is_known(run: str, tmp_path: Path) -> None:
    recorded("evaluate", "FINISHED", tmp_path, run)
    close_run("mlp", "RUNNING", None, tmp_path / "summary")
    assert "no step recorded a failure: a driver, an image or a pod failed" in (tmp_path / "summary").read_text()
    assert "Kubeflow says RUNNING of the steps" in (tmp_path / "summary").read_text()


def test_a_run_that_nothing_is_known_of_still_gets_its_summary(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As when the very first task fails, or MLflow is away."""
    monkeypatch.setenv("REPRO_RUN", uuid.uuid4().hex)
    settings.cache_clear()
    close_run("mlp", "FAILED", "no image", tmp_path / "first")
    assert (tmp_path / "first").read_text().startswith("# mlp: FAILED\n\n- no image\n")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    settings.cache_clear()
    with pytest.raises(UserError, match=r"MLflow at http://127.0.0.1:9"):
        close_run("mlp", "COMPLETE", None, tmp_path / "second")
    said = (tmp_path / "second").read_text()
    assert said.startswith("# mlp: not known\n\n- MLflow at http://127.0.0.1:9")
    assert "Kubeflow says COMPLETE of the steps" in said


@contextmanager
def kubeflow_api(answer: bytes, status: int = 200) -> Iterator[HTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path.startswith("/apis/v2beta1/runs/") else 404)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def test_where_kubeflows_api_answers_its_record_names_a_cancel_and_a_failed_driver(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod beside Kubeflow has its address in the variables of Services."""
    names = {"gate-driver": "FAILED", "executor": "FAILED", "exit-handler-1": "FAILED", "evaluate": "SUCCEEDED"}
    details = [{"display_name": name, "state": state} for name, state in names.items()]
    told = {"run_id": run, "state": "CANCELING", "run_details": {"task_details": details}}
    recorded("evaluate", "FINISHED", tmp_path, run)
    with kubeflow_api(json.dumps(told).encode()) as server:
        monkeypatch.setenv("ML_PIPELINE_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("ML_PIPELINE_SERVICE_PORT_HTTP", str(server.server_port))
        settings.cache_clear()
        assert kubeflow_state() == ("CANCELING", ("gate-driver",))
        close_run("mlp", "RUNNING", None, tmp_path / "summary")
    assert status_of(run) == "KILLED"
    assert (tmp_path / "summary").read_text().startswith("# mlp: CANCELLED")


@pytest.mark.parametrize(("answer", "status"), [(b"<html>", 200), (b"{}", 200), (b"null", 200), (b"{}", 401)])
def test_an_api_that_answers_something_else_is_not_believed(
    answer: bytes, status: int, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kubeflow_api(answer, status) as server:
        monkeypatch.setenv("ML_PIPELINE_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("ML_PIPELINE_SERVICE_PORT_HTTP", str(server.server_port))
        settings.cache_clear()
        assert kubeflow_state() == ("", ())

"""Each task's own function, called as Kubeflow calls it, on what a run of the pipeline left."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from components.config import read as read_params
from components.settings import settings
from pipelines import tasks
from pipelines.local import environment
from pipelines.run_spec import Request, request
from pipelines.workspace import Data
from tests.pipelines.conftest import Ran, read

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def at_the_workspace(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a task of that project, whose checkpoints hold the finished training."""
    monkeypatch.chdir(ran.workspace.folder)
    for name, value in environment(Path(), "digits", "starter", "subprocess").items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def asked(ran: Ran) -> Request:
    return request("mlp", root=ran.workspace.folder)


class Place:
    """Inputs from the run, outputs into a folder of the test's."""

    def __init__(self, ran: Ran, asked: Request, folder: Path) -> None:
        self.ran, self.folder = ran, folder
        self.carried = Data("digits", "starter", asked.version)._asdict()

    def given(self, path: str, kind: type[dsl.Artifact] = dsl.Artifact) -> Any:
        (found,) = self.ran.outputs.parent.glob(f"mlp-*/**/{path}")
        return kind(name=path, uri=str(found), metadata=dict(self.carried))

    def wanted(self, name: str, kind: type[dsl.Artifact] = dsl.Artifact) -> Any:
        return kind(name=name, uri=str(self.folder / name), metadata={})


@pytest.fixture
def here(ran: Ran, asked: Request, tmp_path: Path) -> Place:
    return Place(ran, asked, tmp_path)


def test_open_run_checks_the_parameters_and_opens_the_run(
    asked: Request, ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPRO_RUN", uuid.uuid4().hex)
    settings.cache_clear()
    sent = asked.arguments()
    assert tuple(tasks.open_run.python_func("mlp", **sent)) == (asked.version, "starter")
    with sqlite3.connect(ran.workspace.folder / "mlflow.db") as database:
        found = database.execute("SELECT value FROM params WHERE key = 'train.learning_rate'").fetchall()
    assert ("0.1",) in found
    sent["train"] = {**sent["train"], "hiden_sizes": [3]}
    with pytest.raises(SystemExit, match=r"error: params.yaml: unknown parameter mlp.train.hiden_sizes; did you mean"):
        tasks.open_run.python_func("mlp", **sent)


def test_open_run_takes_the_version_that_a_pin_names_now(asked: Request, ran: Ran, tmp_path: Path) -> None:
    pin = tmp_path / "data.dvc"
    pin.write_text((ran.workspace.folder / "data.dvc").read_text())
    opened = tasks.open_run.python_func("mlp", **{**asked.arguments(), "data_version": str(pin)})
    assert opened.data_version == asked.version
    with pytest.raises(SystemExit, match=r"error: https://127.0.0.1:9/data.dvc cannot be read"):
        tasks.open_run.python_func("mlp", **{**asked.arguments(), "data_version": "https://127.0.0.1:9/data.dvc"})


def test_data_brings_the_version_and_says_which(asked: Request, here: Place) -> None:
    raw = here.wanted("raw", dsl.Dataset)
    tasks.data.python_func("digits", "starter", asked.version, raw)
    assert [path.name for path in Path(raw.path).rglob("*.gz")] == ["digits.csv.gz"]
    assert raw.metadata == here.carried


def test_prepare_and_validate(asked: Request, here: Place) -> None:
    prepared, raw = here.wanted("prepared", dsl.Dataset), here.given("raw", dsl.Dataset)
    tasks.prepare.python_func("digits", asked.arguments()["prepare"], raw, prepared)
    assert read(Path(prepared.path) / "report.json")["splits"]
    assert prepared.metadata == here.carried
    validated, docs = here.wanted("validated"), here.wanted("docs", dsl.HTML)
    tasks.validate.python_func("digits", raw, prepared, validated, docs)
    assert Path(docs.path).read_text().count("<iframe") == len(list(Path(validated.path).glob("*.html"))) > 0


def test_train_and_choose(asked: Request, here: Place) -> None:
    trained, curve, metrics = here.wanted("trained"), here.wanted("curve"), here.wanted("metrics", dsl.Metrics)
    section = asked.arguments()["train"]
    tasks.train.python_func("mlp", section, here.given("prepared"), trained, curve, metrics)
    assert metrics.metadata["val_loss"] > 0
    assert "<svg" in Path(curve.path).read_text()
    worse = here.given("trained")
    training = read(Path(trained.path) / "training.json")
    training["metrics"]["val_loss"] += 1
    worse.path = str(here.folder / "worse")
    Path(worse.path).mkdir()
    (Path(worse.path) / "training.json").write_text(str(training).replace("'", '"'))
    chosen, table, metrics = here.wanted("chosen"), here.wanted("table"), here.wanted("metrics", dsl.Metrics)
    candidates = [{**section, "learning_rate": rate} for rate in (0.7, 0.1)]
    best = tasks.choose.python_func("mlp", candidates, [worse, trained], chosen, table, metrics)
    assert best["learning_rate"] == 0.1
    assert (Path(chosen.path) / "model.ckpt").read_bytes() == (Path(trained.path) / "model.ckpt").read_bytes()
    rows = Path(table.path).read_text().splitlines()
    assert rows[0].startswith("| learning_rate | val_loss |")
    assert rows[-1].endswith("| best |")


def test_export_and_evaluate(asked: Request, here: Place) -> None:
    sent, prepared = asked.arguments(), here.given("prepared")
    bundle = here.wanted("bundle", dsl.Model)
    tasks.export.python_func("mlp", sent["train"], sent["export"], prepared, here.given("trained"), bundle)
    assert bundle.metadata["digest"] == read(Path(here.given("bundle").path) / "bundle.json")["digest"]
    evaluated, report = here.wanted("evaluated"), here.wanted("report")
    metrics, shown = here.wanted("metrics", dsl.Metrics), here.wanted("shown", dsl.ClassificationMetrics)
    tasks.evaluate.python_func(
        "mlp", sent["train"], sent["evaluate"], prepared, bundle, evaluated, report, metrics, shown
    )
    assert metrics.metadata == read(Path(evaluated.path) / "metrics.json")
    assert len(shown.metadata["confusionMatrix"]["annotationSpecs"]) == 10


@pytest.mark.parametrize(("least", "allowed"), [(0.0, True), (1.0, False)])
def test_gate_and_promote(least: float, allowed: bool, asked: Request, here: Place) -> None:
    sent, evaluated = asked.arguments(), here.given("evaluated")
    bounds = {**sent["gate"], "metrics": {"accuracy": {"min": least, "min_count": 1.0}}}
    decided, decision = here.wanted("decided"), here.wanted("decision")
    found = tasks.gate.python_func("mlp", sent["train"], bounds, evaluated, decided, decision)
    assert found is allowed
    assert decided.metadata["verdict"] == ("PASS" if allowed else "FAIL")
    assert Path(decision.path).read_text().startswith(f"# mlp: {decided.metadata['verdict']}")
    promoted = here.wanted("promoted")
    tasks.promote.python_func("mlp", sent["train"], bounds, here.given("bundle"), evaluated, decided, promoted)
    # Called all the same, it moves nothing for a blocked decision; and this very model is the champion already.
    assert read(Path(promoted.path) / "promotion.json")["version"] == ("1" if allowed else None)


def test_a_step_that_cannot_go_on_is_one_line(asked: Request, here: Place) -> None:
    bundle = here.given("prepared")
    with pytest.raises(SystemExit, match=r"^error: "):
        tasks.export.python_func("mlp", asked.arguments()["train"], asked.arguments()["export"], bundle, bundle, here.wanted("bundle"))  # fmt: skip  # noqa: E501
    assert list(here.folder.iterdir()) == []


def test_close_run_without_a_run_still_writes_its_summary(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the very first task fails."""
    monkeypatch.setenv("REPRO_RUN", uuid.uuid4().hex)
    settings.cache_clear()
    summary = here.wanted("summary")
    status = dsl.PipelineTaskFinalStatus(
        state="FAILED",
        pipeline_job_resource_name="",
        pipeline_task_name="steps",
        error_code=9,
        error_message="no image",
    )
    tasks.close_run.python_func("mlp", status, summary)
    assert Path(summary.path).read_text().startswith("# mlp: FAILED\n\n- no image\n- no step recorded a failure")


def test_an_audited_lab_and_one_with_scores_have_pages_too(tmp_path: Path) -> None:
    """The faces' files, by hand: their training takes too long for this."""
    from pipelines import artifacts

    (tmp_path / "evaluation.json").write_text('{"serve": {"variant": "int8"}}')
    (tmp_path / "metrics.json").write_text('{"recall": 0.5}')
    rows = [f"{face},{logit}" for face, logit in ((1, 3.0), (1, 1.0), (0, 2.0), (0, -1.0))]
    (tmp_path / "scores_int8.csv").write_text("\n".join(["face,logit", *rows]) + "\n")
    shown = dsl.ClassificationMetrics(name="shown", uri=str(tmp_path / "shown"), metadata={})
    artifacts.classification(tmp_path, shown)
    points = [(point["falsePositiveRate"], point["recall"]) for point in shown.metadata["confidenceMetrics"]]
    assert points == [(0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)]
    artifacts.reports(tmp_path, str(tmp_path / "page"))
    assert "<td>recall</td><td>0.5</td>" in (tmp_path / "page").read_text()


def test_the_whole_of_params_yaml_can_travel_as_kubeflows_numbers(asked: Request) -> None:
    """All its numbers are doubles: whole ones come back as such."""
    from pipelines.workspace import whole

    def doubles(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: doubles(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [doubles(inner) for inner in value]
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    raw = read_params(Path("params.yaml"))
    assert whole(doubles(raw)) == raw

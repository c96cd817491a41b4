"""The whole pipeline in processes of its own, by Kubeflow's local runner, with real training on a small slice."""
# No `from __future__ import annotations`: Kubeflow's compiler reads types, not their names.

import sqlite3
from pathlib import Path

import pytest
import torch
from kfp import dsl, local

from components.labs import find
from components.sources.pin import digest, listing
from pipelines.local import environment
from pipelines.pipeline import Wiring
from pipelines.run_spec import request
from pipelines.workspace import DATASET_STEPS, Data
from tests.pipelines.conftest import RAW, Ran, read
from tests.workspace import Workspace

pytestmark = pytest.mark.slow
LAB_STEPS = ("train", "export", "evaluate", "gate", "promote")


def runs(workspace: Workspace, pipeline: str = "%") -> dict[str, tuple[str, str | None]]:
    """Name -> (status, name of the parent) of the runs in MLflow; of equal names, of the last.

    pipeline: only of the one with this id, since others may have run in its project.
    """
    query = """SELECT runs.name, runs.status, parents.name FROM runs
        LEFT JOIN tags AS links ON links.run_uuid = runs.run_uuid AND links.key = 'mlflow.parentRunId'
        LEFT JOIN runs AS parents ON parents.run_uuid = links.value
        JOIN tags AS journals ON journals.key = 'journal' AND journals.run_uuid = COALESCE(links.value, runs.run_uuid)
        WHERE journals.value LIKE ? ORDER BY runs.start_time"""
    with sqlite3.connect(workspace.folder / "mlflow.db") as database:
        found = database.execute(query, [pipeline])
        return {name: (status, parent) for name, status, parent in found}


def test_a_candidate_that_passes_is_promoted_and_the_summary_says_so(ran: Ran) -> None:
    assert read(ran.outputs / "gate" / "decided" / "decision.json")["verdict"] == "PASS"
    (promoted,) = ran.outputs.parent.glob("mlp-*/**/promoted/promotion.json")
    assert read(promoted)["version"] == "1"
    for words in ("# mlp: SUCCEEDED", "gate: **PASS**", "champion: version 1"):
        assert words in ran.said


def test_every_step_is_a_finished_run_below_that_of_the_pipeline(ran: Ran) -> None:
    found = runs(ran.workspace, ran.outputs.parent.name)
    assert found["kubeflow mlp"] == ("FINISHED", None)
    assert {found[f"digits {step}"] for step in DATASET_STEPS} == {("FINISHED", "kubeflow mlp")}
    assert {found[f"mlp {step}"] for step in LAB_STEPS} == {("FINISHED", "kubeflow mlp")}


def test_the_data_is_the_pinned_version_and_the_bundle_carries_it(ran: Ran) -> None:
    version = digest(listing(ran.outputs / "data" / "raw"))
    assert version in (ran.workspace.folder / "data.dvc").read_text()
    provenance = read(ran.outputs / "export" / "bundle" / "bundle.json")["provenance"]
    assert (provenance["data_version"], provenance["data_profile"]) == (version, "starter")
    commit = ran.workspace.run("git", "rev-parse", "HEAD").stdout.strip()
    assert (provenance["git_commit"], provenance["git_dirty"]) == (commit, True)


def test_the_page_of_the_run_has_curves_docs_metrics_and_the_decision(ran: Ran) -> None:
    assert "val_loss" in (ran.outputs / "train" / "curve").read_text()
    assert "column_values" not in (ran.outputs / "validate" / "data_docs").read_text()
    assert "srcdoc" in (ran.outputs / "evaluate" / "report").read_text()
    assert (ran.outputs / "gate" / "decision").read_text().startswith("# mlp: PASS")
    said = read(ran.outputs / "evaluate" / "executor_output.json")["artifacts"]
    assert said["metrics"]["artifacts"][0]["metadata"] == read(ran.outputs / "evaluate" / "evaluated" / "metrics.json")
    matrix = said["classification"]["artifacts"][0]["metadata"]["confusionMatrix"]
    assert len(matrix["rows"]) == 10
    said = read(ran.outputs / "gate" / "executor_output.json")["artifacts"]
    assert said["decided"]["artifacts"][0]["metadata"]["verdict"] == "PASS"


def test_dvc_makes_the_same_model_with_the_same_metrics(ran: Ran) -> None:
    """Each trains for itself: a pipeline's checkpoints are not the laptop's."""
    ran.workspace.run("dvc", "repro", "evaluate@mlp")
    build = ran.workspace.folder / "build" / "mlp"
    bundles = [read(folder / "bundle.json") for folder in (build / "export", ran.outputs / "export" / "bundle")]
    assert bundles[0]["spec"] == bundles[1]["spec"]
    for name in ("float.onnx", "int8.onnx", "distance.onnx", "parity.json"):
        ours, theirs = (
            (folder / name).read_bytes() for folder in (build / "export", ran.outputs / "export" / "bundle")
        )
        assert ours == theirs, name
    assert bundles[0]["digest"] == bundles[1]["digest"]
    assert bundles[0]["provenance"] == bundles[1]["provenance"]
    measured = [
        read(folder / "metrics.json") for folder in (build / "evaluate", ran.outputs / "evaluate" / "evaluated")
    ]
    assert measured[0] == measured[1]
    trained = [
        torch.load(folder / "model.ckpt", weights_only=True)["state_dict"]
        for folder in (build / "train", ran.outputs / "train" / "trained")
    ]
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


def test_a_candidate_that_is_blocked_is_a_result_and_is_not_promoted(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gate and what follows it, as the pipeline has them, on what the run before left."""
    monkeypatch.chdir(ran.workspace.folder)
    asked = request("mlp", ["mlp.gate.metrics.accuracy.min=1.0"]).here()
    variables = environment(Path(), "digits", "starter", "subprocess")
    wiring = Wiring(find("mlp"), asked.cluster, {**variables, "PYTHONPATH": str(ran.workspace.folder)})
    sent = asked.arguments()
    carried = Data("digits", "starter", asked.version)._asdict()

    @dsl.pipeline(name="blocked")
    def blocked():  # type: ignore[no-untyped-def]
        bundle, evaluated = (
            dsl.importer(artifact_uri=str(ran.outputs / path), artifact_class=kind, metadata=carried).output
            for path, kind in (("export/bundle", dsl.Model), ("evaluate/evaluated", dsl.Artifact))
        )
        wiring.decide(sent["train"], bundle, {"evaluated": evaluated}, sent["gate"])

    root = ran.workspace.folder / "blocked"
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(root))
    blocked()
    (decided,) = root.glob("**/decided/decision.json")
    assert read(decided)["verdict"] == "FAIL"
    assert list(root.glob("**/promote*")) == []


def test_a_step_that_fails_closes_the_run_as_failed_and_says_which(ran: Ran) -> None:
    """The version cannot be had: a file of it is gone from where the versions are kept."""
    workspace = ran.workspace
    (folder,) = (workspace.folder / RAW).rglob("*.gz")
    version = listing(folder.parent)[folder.name]
    kept = workspace.folder / ".dvc" / "cache" / "files" / "md5" / version[:2] / version[2:]
    away = kept.rename(workspace.folder / "away")
    try:
        before = set((workspace.folder / "build" / "kubeflow").iterdir())
        done = workspace.run("python", "-m", "pipelines", "run", "mlp", check=False)
    finally:
        away.rename(kept)
    assert done.returncode == 2
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("error: ")
    assert "'data'" in said
    assert "error: dvc pull data.dvc failed" in done.stdout
    assert "Traceback" not in done.stderr + done.stdout
    assert runs(workspace)["kubeflow mlp"] == ("FAILED", None)
    (new,) = set((workspace.folder / "build" / "kubeflow").iterdir()) - before
    (summary,) = new.glob("mlp-*/close-run/summary")
    assert "# mlp: FAILED" in summary.read_text()
    assert "nothing was promoted" in summary.read_text()


def test_an_engine_that_is_not_there_is_one_line(workspace: Workspace) -> None:
    done = workspace.run(
        "python", "-m", "pipelines", "run", "mlp", "--engine", "docker",
        check=False, DOCKER_HOST="unix:///nowhere.sock",
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: no Docker engine answers")
    assert "Traceback" not in done.stderr


def test_changed_data_stops_the_run_before_it_begins(ran: Ran) -> None:
    workspace = ran.workspace
    added = workspace.folder / RAW / "more"
    added.write_text("unseen")
    try:
        done = workspace.run("python", "-m", "pipelines", "run", "mlp", check=False)
    finally:
        added.unlink()
    assert done.returncode == 2
    assert "extra more" in done.stderr

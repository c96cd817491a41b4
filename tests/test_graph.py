"""The real graph, on a small slice of the real tunes, as a user runs it: `make repro` and DVC's own commands."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.servers import serving
from tests.workspace import SMOKE, Workspace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def graph(raw_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A scratch copy of the project in which the whole graph has run once."""
    workspace = Workspace(tmp_path_factory.mktemp("graph"))
    workspace.set_params(SMOKE)
    # A demonstration's bounds, so that the first candidate passes and there is a champion to talk about.
    bounds = {"bits_per_char": {"max": 100.0, "min_count": 1}}
    bounds |= {rate: {"min": 0.0, "min_count": 1} for rate in ("valid_sample_rate", "worst_request_rate")}
    workspace.set_params({"music": {"gate": {"metrics": bounds}}})
    done = workspace.run("python", "-m", "components", "repro", "music")
    plan = [line for line in done.stderr.splitlines() if "plan:" in line]
    assert [line.partition("plan: ")[2] for line in plan] == [
        "music: prepare, validate, train, export, evaluate",
        "5 steps to run",
    ]
    assert "http://127.0.0.1:3000" in done.stderr.splitlines()[-1]
    yield workspace


def read(workspace: Workspace, name: str) -> dict[str, object]:
    content: dict[str, object] = json.loads((workspace.folder / "build" / "music" / name).read_text())
    return content


def runs(workspace: Workspace) -> list[tuple[str, str]]:
    with sqlite3.connect(workspace.folder / "mlflow.db") as database:
        return database.execute("SELECT name, status FROM runs ORDER BY start_time").fetchall()


def test_every_step_leaves_what_the_readme_says(graph: Workspace) -> None:
    for name in (
        "prepare/report.json",
        "validate/validation.json",
        "train/curve.csv",
        "export/bundle.json",
        "evaluate/report.html",
        "gate/decision.md",
        "promote/promotion.json",
    ):
        assert (graph.folder / "build" / "music" / name).stat().st_size > 0, name
    assert read(graph, "gate/decision.json")["verdict"] == "PASS"
    assert read(graph, "promote/promotion.json")["version"] == "1"


def test_every_step_is_a_finished_run_below_one_parent(graph: Workspace) -> None:
    found = dict(runs(graph))
    steps = ("prepare", "validate", "train", "export", "evaluate", "gate", "promote")
    assert [step for step in steps if found.get(f"music {step}") != "FINISHED"] == []
    assert found["repro music"] == "FINISHED"


def test_provenance_reaches_from_the_data_to_the_promotion(graph: Workspace) -> None:
    bundle, decision = read(graph, "export/bundle.json"), read(graph, "gate/decision.json")
    evaluation = read(graph, "evaluate/evaluation.json")
    assert bundle["digest"] == evaluation["model_digest"] == decision["model_digest"]
    assert bundle["provenance"] == evaluation["provenance"] == decision["provenance"]
    provenance = bundle["provenance"]
    assert isinstance(provenance, dict)
    assert provenance["data_version"] in (graph.folder / "data.dvc").read_text()
    assert provenance["data_profile"] == "course"


def test_the_champion_it_promoted_is_served(graph: Workspace, tmp_path: Path) -> None:
    with serving("music", "models:/music@champion", tmp_path, project=graph.folder) as server:
        answer = server.client.post("/generate", json={"seed": 1, "valid_only": False, "max_length": 100})
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-model-digest"] == read(graph, "export/bundle.json")["digest"]
        assert answer.headers["x-mlflow-run"], "the run that registered it"
        assert answer.headers["x-promoted"] == "true"


def test_a_second_run_trains_nothing_and_moves_nothing(graph: Workspace) -> None:
    trained = (graph.folder / "build/music/train/model.ckpt").stat().st_mtime_ns
    done = graph.run("python", "-m", "components", "repro", "music")
    for stage in ("prepare", "validate", "train", "export", "evaluate"):
        assert f"Stage '{stage}@music' didn't change, skipping" in done.stdout
    assert "plan: nothing has changed" in done.stderr
    assert (graph.folder / "build/music/train/model.ckpt").stat().st_mtime_ns == trained
    assert read(graph, "promote/promotion.json")["version"] == "1"


def status(graph: Workspace) -> dict[str, object]:
    """Stages of which DVC says that they would run, beside those that always do."""
    graph.run("dvc", "repro", "--single-item", "versions")
    found: dict[str, object] = json.loads(graph.run("dvc", "status", "--json").stdout)
    return {stage: why for stage, why in found.items() if why != ["always changed"] and stage.endswith("music")}


def test_the_plan_names_what_has_changed_and_no_lab_whose_own_code_is_as_it_was(graph: Workspace) -> None:
    def planned() -> str:
        command = "from components.plan import plan; from pathlib import Path as P;"
        command += "print(plan(['music'], P('params.yaml'), P('build')).lines[0])"
        return graph.run("python", "-c", command).stdout.strip()

    components = graph.folder / "components"
    for module, found in (
        (components / "families" / "classification" / "evaluation" / "measures.py", "nothing has changed"),
        (components / "labs" / "music" / "evaluation" / "evaluate.py", "music: evaluate"),
    ):
        before = module.read_text()
        module.write_text(before + "\nLIMIT = 1\n")
        try:
            assert planned().startswith(found)
        finally:
            module.write_text(before)


def test_code_that_only_judges_or_serves_and_other_datasets_retrain_nothing(graph: Workspace) -> None:
    lab = graph.folder / "components" / "labs" / "music"
    touched = {
        lab / "evaluation" / "evaluate.py": "\nLIMIT = 1\n",
        next((lab / "runtime").glob("[a-z]*.py")): "\nLIMIT = 1\n",
        lab / "training" / "model.py": "\n# a comment\n",
        graph.folder / "data" / "digits" / "extra.txt": "a file of another dataset\n",
    }
    before = {path: path.read_bytes() if path.exists() else None for path in touched}
    try:
        for path, text in touched.items():
            with path.open("a") as file:
                file.write(text)
        graph.set_params({"music": {"serve": {"redraws": 2}}, "digits": {"train": {"seed": 2}}})
        graph.run("python", "-m", "components", "accept-data", "digits")
        found = status(graph)
        assert "evaluate@music" in found
        assert not {"prepare@music", "validate@music", "train@music"} & set(found)
    finally:
        for path, content in before.items():
            path.unlink()
            if content is not None:
                path.write_bytes(content)


def test_code_that_trains_retrains(graph: Workspace) -> None:
    model = graph.folder / "components" / "labs" / "music" / "training" / "model.py"
    before = model.read_text()
    model.write_text(before + "\nLIMIT = 1\n")
    try:
        assert "train@music" in status(graph)
    finally:
        model.write_text(before)


def test_metrics_show_names_the_metrics(graph: Workspace) -> None:
    shown = json.loads(graph.run("dvc", "metrics", "show", "--json").stdout)
    metrics = shown[""]["data"]["build/music/evaluate/metrics.json"]["data"]
    assert 0 < metrics["bits_per_char"] < 10
    assert 0 <= metrics["valid_sample_rate"] <= 1


def test_params_diff_sees_a_changed_number(graph: Workspace) -> None:
    shown = json.loads(graph.run("dvc", "params", "diff", "--json").stdout)
    changed = next(iter(shown.values()))
    assert changed["music.train.hidden_size"]["new"] == SMOKE["music"]["train"]["hidden_size"]


def test_a_second_repro_at_the_same_time_is_refused_in_words(graph: Workspace, tmp_path: Path) -> None:
    """The first is held in its stage, by a `python` that waits, so that the second surely meets it."""
    waiting, let_go, python = tmp_path / "waiting", tmp_path / "let-go", tmp_path / "python"
    python.write_text(f"""#!/bin/sh
touch '{waiting}'
while [ ! -e '{let_go}' ]; do sleep 0.1; done
exec '{sys.executable}' "$@"
""")
    python.chmod(0o755)
    environment = graph.environment()
    first = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "prepare@music"],
        cwd=graph.folder,
        env={**environment, "PATH": f"{tmp_path}{os.pathsep}{environment['PATH']}"},
    )
    try:
        while not waiting.exists():
            assert first.poll() is None
            time.sleep(0.05)
        second = graph.run("dvc", "repro", "--force", "--single-item", "prepare@music", check=False)
        assert second.returncode != 0
        assert "lock" in second.stderr or "busy" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        let_go.touch()
        first.wait()
    assert first.returncode == 0


def test_changed_raw_data_stops_the_run_before_anything_is_rewritten(graph: Workspace) -> None:
    tunes = graph.folder / "data" / "music" / "irish.abc"
    pin = (graph.folder / "data.dvc").read_bytes()
    original = tunes.read_bytes()
    tunes.unlink()  # it is a link to the project's own file
    tunes.write_bytes(original + b"\n")
    try:
        done = graph.run("python", "-m", "components", "repro", "music", check=False)
    finally:
        tunes.write_bytes(original)
    assert done.returncode == 2
    assert "irish.abc" in done.stderr
    assert "accept-data" in done.stderr
    assert (graph.folder / "data.dvc").read_bytes() == pin


KILLED_AT_ITS_SECOND_CHECKPOINT = """
import os, runpy, signal, sys
def watch(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("last.ckpt") and os.path.exists(arguments[1]):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
runpy.run_module("components", run_name="__main__")
"""
"""Python that runs a step and dies when a training is about to put its second checkpoint in the first one's place."""


def test_a_killed_training_is_marked_killed_and_goes_on(graph: Workspace) -> None:
    graph.set_params({"music": {"train": {"max_epochs": 3}}})
    killed = graph.run("python", "-c", KILLED_AT_ITS_SECOND_CHECKPOINT, "train", "music", check=False)
    assert killed.returncode == -signal.SIGKILL
    done = graph.run("python", "-m", "components", "train", "music")
    assert "resuming music from the last epoch boundary" in done.stderr
    graph.run("python", "-m", "components", "gate", "music")
    statuses = [status for name, status in runs(graph) if name == "music train"]
    assert statuses.count("KILLED") == 1
    assert statuses[-1] == "FINISHED"


def test_a_blocked_candidate_is_a_result_and_require_pass_exits_three(graph: Workspace) -> None:
    graph.set_params({"music": {"gate": {"metrics": {"bits_per_char": {"max": 0.001}}}}})
    done = graph.run("python", "-m", "components", "gate", "music")
    assert "BLOCKED music: FAIL" in done.stderr
    assert read(graph, "gate/decision.json")["verdict"] == "FAIL"
    assert graph.run("python", "-m", "components", "gate", "music", "--require-pass", check=False).returncode == 3
    done = graph.run("python", "-m", "components", "promote", "music")
    assert "NOT PROMOTED" in done.stderr
    assert read(graph, "promote/promotion.json")["version"] is None


def test_an_experiment_from_the_command_line_changes_numbers(graph: Workspace) -> None:
    graph.run("git", "add", "-A")
    graph.run("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "before")
    numbers = ("-S", "music.train.hidden_size=32", "-S", "music.train.max_epochs=1")
    done = graph.run("dvc", "exp", "run", *numbers, "export@music")
    assert "Ran experiment" in done.stdout
    spec = read(graph, "export/bundle.json")["spec"]
    assert isinstance(spec, dict)
    assert spec["hidden_size"] == 32

"""Two labs made side by side by two `dvc repro`, on small slices of the real data."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from components.labs import LABS, find
from components.side_by_side import cores
from tests.workspace import SMOKE, Workspace

pytestmark = pytest.mark.slow

REPRO = (sys.executable, "-m", "components", "repro", "music", "cartpole")
STEPS = ("prepare", "validate", "train", "export", "evaluate", "gate", "promote")


@pytest.fixture(scope="module")
def graph(raw_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A scratch copy in which nothing was made yet, and cartpole cannot be evaluated."""
    if cores() < 2:
        pytest.skip("needs two cores")
    workspace = Workspace(tmp_path_factory.mktemp("graph"))
    workspace.set_params({**SMOKE, "repro": {"free_memory": 0.001}})
    with broken_module(workspace).open("a") as module:
        module.write("\nraise SystemExit('cannot be evaluated')\n")
    yield workspace


def broken_module(workspace: Workspace) -> Path:
    return workspace.folder / "components" / "families" / "agents" / "evaluation" / "evaluate.py"


def locked(workspace: Workspace, lab: str) -> list[str]:
    """Steps of the lab that dvc.lock has, in the order in which they run."""
    stages = yaml.safe_load((workspace.folder / "dvc.lock").read_text())["stages"]
    return [step for step in STEPS if f"{step}@{lab}" in stages]


def runs(workspace: Workspace) -> dict[str, str]:
    with sqlite3.connect(workspace.folder / "mlflow.db") as database:
        return dict(database.execute("SELECT name, status FROM runs ORDER BY start_time").fetchall())


def test_labs_of_one_dataset_are_made_one_after_another(graph: Workspace) -> None:
    command = f"from components.plan import Graph; print(*(','.join(g.labs) for g in Graph.of({LABS!r}).groups()))"
    by_dataset: dict[str, set[str]] = {}
    for lab in LABS:
        by_dataset.setdefault(find(lab).dataset, set()).add(lab)
    found = graph.run("python", "-c", command).stdout.split()
    assert sorted(map(sorted, by_dataset.values())) == sorted(sorted(labs.split(",")) for labs in found)


def test_stopped_it_leaves_no_process_and_the_next_one_goes_on(graph: Workspace) -> None:
    with subprocess.Popen(
        REPRO, cwd=graph.folder, env=graph.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        running = next(line for line in process.stdout if "Running stage 'train@music'" in line)
        assert running.startswith("music    | ")
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert "stopped; the same command goes on where it was" in errors
    assert "Traceback" not in errors
    assert children
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert "train" not in locked(graph, "music")


def test_a_lab_that_fails_does_not_stop_the_other(graph: Workspace) -> None:
    done = graph.run(*REPRO, check=False)
    assert "plan: side by side, 2 at a time, with OMP_NUM_THREADS=1: music; cartpole" in done.stderr
    assert done.returncode == 255
    assert "cartpole failed with exit code 255; what runs beside it goes on" in done.stderr
    assert "cartpole | cannot be evaluated" in done.stdout
    assert locked(graph, "music") == [*STEPS]
    assert locked(graph, "cartpole") == ["prepare", "validate", "train", "export"]


def test_once_mended_it_runs_what_is_missing_and_dvc_then_finds_nothing_to_do(graph: Workspace) -> None:
    module = broken_module(graph)
    module.write_text(module.read_text().partition("\nraise SystemExit")[0] + "\n")
    done = graph.run(*REPRO)
    assert "music    | Stage 'evaluate@music' didn't change, skipping" in done.stdout
    assert "cartpole | Stage 'export@cartpole' didn't change, skipping" in done.stdout
    assert locked(graph, "music") == locked(graph, "cartpole") == [*STEPS]
    found = runs(graph)
    assert {found[f"{lab} {step}"] for lab in ("music", "cartpole") for step in STEPS} == {"FINISHED"}
    again = graph.run(*REPRO)
    assert "plan: nothing has changed" in again.stderr
    assert "Running stage 'train" not in again.stdout
    alone = graph.run("dvc", "repro", "promote@music", "promote@cartpole")
    for lab in ("music", "cartpole"):
        for step in STEPS[:5]:
            assert f"Stage '{step}@{lab}' didn't change, skipping" in alone.stdout

"""A killed and stopped search ends with the trials of one that ran through; its best goes to the gate."""

from __future__ import annotations

import csv
import html
import json
import re
import shlex
import shutil
import sqlite3
import subprocess
from pathlib import Path

import optuna
import pytest

from components.config import read
from components.labs import Inputs, find
from components.labs.mlp.params import Train
from components.search.trial import TrialError, run_trial
from tests.digits_data import prepared
from tests.face_data import section
from tests.workspace import SMOKE, Workspace

SEARCH = {
    "trials": 7,
    "startup_trials": 2,
    "pruner": "median",
    "warmup_epochs": 1,
    "seed": 1,
    "ranges": {
        "learning_rate": {"low": 1e-4, "high": 0.5, "log": True},
        "hidden_sizes": {"choices": [[16], [32]]},
    },
}
DIES = """
import os, signal, sys
from components.__main__ import main
from optuna.trial import Trial

tell = Trial.report

def report(trial, value, step):
    tell(trial, value, step)
    if (trial.number, step) == ({trial}, {epoch}):
        os.kill(os.getpid(), {signal})

Trial.report = report
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.argv = ["components", "search", "mlp", "--build", {build!r}]
main()
"""
"""The command, in a process that is sent a signal as soon as a figure of a trial is told."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = Workspace(tmp_path_factory.mktemp("search"))
    made.set_params(SMOKE)
    made.set_params({"mlp": {"train": {"max_epochs": 5, "batch_size": 32}, "search": SEARCH}})
    return made


def search(workspace: Workspace, build: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return workspace.run("python", "-m", "components", "search", "mlp", "--build", build, *options, check=check)


def dying(workspace: Workspace, build: str, trial: int, epoch: int, signal: int) -> subprocess.CompletedProcess[str]:
    code = DIES.format(trial=trial, epoch=epoch, signal=signal, build=build)
    return workspace.run("python", "-c", code, check=False)


def trials(workspace: Workspace, build: str) -> list[dict[str, str]]:
    """In their order, without their numbers: what was killed took one of them."""
    with (workspace.folder / build / "mlp/search/trials.csv").open() as file:
        return [{name: value for name, value in row.items() if name != "trial"} for row in csv.DictReader(file)]


def runs(workspace: Workspace) -> dict[str, list[tuple[str, str]]]:
    """MLflow's runs below each search: names and statuses, by the search's status."""
    query = """
        SELECT parent.run_uuid || ' ' || parent.status, child.name, child.status FROM runs AS child
        JOIN tags ON tags.run_uuid = child.run_uuid AND tags.key = 'mlflow.parentRunId'
        JOIN runs AS parent ON parent.run_uuid = tags.value ORDER BY child.start_time"""
    found: dict[str, list[tuple[str, str]]] = {}
    with sqlite3.connect(workspace.folder / "mlflow.db") as database:
        for parent, name, status in database.execute(query):
            found.setdefault(parent, []).append((name, status))
    return found


@pytest.mark.slow
def test_a_search_that_was_killed_and_stopped_ends_with_the_same_trials(workspace: Workspace) -> None:
    workspace.run("python", "-m", "components", "prepare", "digits")
    shutil.copytree(workspace.folder / "build/digits", workspace.folder / "killed/digits")
    through = search(workspace, "build")
    assert "best: trial" in through.stdout
    (first,) = runs(workspace).items()
    assert first[0].endswith("FINISHED")
    assert first[1] == [("mlp trial", "FINISHED")] * 7
    assert {row["state"] for row in trials(workspace, "build")} == {"complete", "pruned"}

    killed = dying(workspace, "killed", trial=2, epoch=1, signal=9)
    assert killed.returncode == -9
    stopped = dying(workspace, "killed", trial=4, epoch=0, signal=2)
    assert stopped.returncode == 130, stopped.stderr
    assert "stopped; the same command goes on" in stopped.stderr.splitlines()[-1]
    assert "Traceback" not in stopped.stderr
    assert "resuming mlp from the last epoch boundary" in stopped.stderr
    resumed = search(workspace, "killed")
    assert trials(workspace, "killed") == trials(workspace, "build")
    assert resumed.stdout.splitlines()[-1] == through.stdout.splitlines()[-1]

    second = dict(list(runs(workspace).items())[1:])
    (statuses,) = second.values()
    assert sorted(status for _, status in statuses) == ["FINISHED"] * 7 + ["KILLED"] * 2
    assert next(iter(second)).endswith("FINISHED"), "one run of the search, however often it was resumed"


@pytest.mark.slow
def test_the_printed_command_takes_the_best_trial_on_as_an_experiment_of_dvc(workspace: Workspace) -> None:
    printed = (workspace.folder / "build/mlp/search/report.html").read_text()
    command = html.unescape(re.findall("<pre>(.*)</pre>", printed)[0])
    done = workspace.run(*shlex.split(command.replace("promote@", "train@")))
    best = json.loads((workspace.folder / "build/mlp/search/best.json").read_text())
    trained = json.loads((workspace.folder / "build/mlp/train/training.json").read_text())
    assert trained["metrics"]["val_loss"] == best["val_loss"]
    assert "epoch 1 of" not in done.stdout + done.stderr, "the trial's checkpoints are taken"
    assert read(workspace.folder / "params.yaml")["mlp"]["train"]["learning_rate"] == best["values"]["learning_rate"]
    assert workspace.run("dvc", "exp", "list", "--name-only").stdout.strip()


@pytest.mark.slow
def test_more_trials_go_on_from_those_that_there_are(workspace: Workspace) -> None:
    """Although params.yaml has the best values by now: they make no other search."""
    before = trials(workspace, "build")
    workspace.set_params({"mlp": {"search": {"trials": 8}}})
    done = search(workspace, "build", "--apply")
    assert done.stderr.count("mlp.train.learning_rate=") == 1, "one trial more"
    assert trials(workspace, "build")[:7] == before
    best = json.loads((workspace.folder / "build/mlp/search/best.json").read_text())
    train = read(workspace.folder / "params.yaml")["mlp"]["train"]
    assert {name: train[name] for name in best["values"]} == best["values"]


def test_a_training_that_diverges_fails_its_trial_alone(tmp_path: Path) -> None:
    params = section(Train, "mlp", "train", learning_rate=1e30, max_epochs=3, hidden_sizes=[8])
    inputs = Inputs(prepared(tmp_path / "prepared", 500))
    trial = optuna.create_study().ask()
    with pytest.raises(TrialError, match="diverged"):
        run_trial(trial, find("mlp"), params, inputs, tmp_path / "trial", [])


def test_a_trial_that_is_worse_than_the_median_ends_at_that_epoch(tmp_path: Path) -> None:
    inputs = Inputs(prepared(tmp_path / "prepared", 500))
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1))
    for count, rate in enumerate((0.1, 0.2, 1e-7)):
        trial = study.ask()
        params = section(Train, "mlp", "train", learning_rate=rate, max_epochs=5, hidden_sizes=[8])
        if count < 2:
            metrics = run_trial(trial, find("mlp"), params, inputs, tmp_path / str(count), [])
            study.tell(trial, metrics["val_loss"])
            assert len(study.trials[-1].intermediate_values) == 5
        else:
            with pytest.raises(optuna.TrialPruned):
                run_trial(trial, find("mlp"), params, inputs, tmp_path / str(count), [])
    assert list(study.trials[-1].intermediate_values) == [0, 1]

"""Training in several processes: the same batches, so the same model up to rounding; one of them writes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from components.errors import UserError
from components.labs import Inputs, find
from components.params import load
from components.settings import settings
from components.steps.train import train
from components.training.sharding import share
from tests.digits_data import prepared
from tests.workspace import overlaid

PROJECT = Path(__file__).resolve().parents[3]
SMALL = {
    # One layer: no draw but the order of the batches, and no batch norm, so that what differs is the order of sums.
    "digits": {
        "train": {
            "model": "fully_connected",
            "hidden_sizes": [],
            "dropout": 0.0,
            "augmentation": {"shift": 0, "rotation": 0, "scale": 0, "shear": 0},
            "batch_size": 32,
            "max_epochs": 6,
            "patience": 6,
            "precision": "32-true",
        }
    },
    "mlp": {"train": {"hidden_sizes": [8], "max_epochs": 1}},
    "datasets": {"digits": {"profile": "starter"}},
}


class Batch(NamedTuple):
    inputs: Tensor
    labels: Tensor


@pytest.mark.parametrize("count", [8, 7, 2, 1])
def test_the_shares_of_a_batch_are_equally_large_and_miss_nothing(count: int) -> None:
    batch = Batch(torch.arange(count * 3).reshape(count, 3), torch.arange(count))
    shares = [share(batch, rank, 3) for rank in range(3)]
    assert {len(found.labels) for found in shares} == {-(-count // 3)}
    assert {int(label) for found in shares for label in found.labels} == set(range(count))
    assert all(torch.equal(found.inputs[:, 0] // 3, found.labels) for found in shares)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of prepared digits."""
    root = tmp_path_factory.mktemp("distributed")
    overlaid(PROJECT / "params.yaml", SMALL, root / "params.yaml")
    (root / "data.dvc").write_text("outs: [{md5: aaaa.dir, path: data/starter/digits}]\n")
    prepared(root / "build" / "digits" / "prepare", 800)
    return root


def start(project: Path, processes: int, build: Path) -> subprocess.Popen[str]:
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    return subprocess.Popen(
        [sys.executable, *run, "-m", "components", "train", "digits", "--build", str(build)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return said


def training(build: Path) -> Any:
    return json.loads((build / "digits" / "train" / "training.json").read_text())


@pytest.mark.slow
def test_two_processes_one_of_them_killed_end_where_one_does(project: Path) -> None:
    alone, together = project / "build", project / "together"
    together.mkdir()
    (together / "digits").mkdir()
    (together / "digits" / "prepare").symlink_to(alone / "digits" / "prepare")
    finished(start(project, 1, alone))

    killed = start(project, 2, together)
    deadline = time.monotonic() + 300
    while killed.poll() is None and time.monotonic() < deadline:
        if list(together.glob(".checkpoints/digits/*/last.ckpt")):
            break
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    said = finished(start(project, 2, together))

    one, two = training(alone)["metrics"], training(together)["metrics"]
    assert two["val_loss"] == pytest.approx(one["val_loss"], rel=1e-3)
    assert two["train_loss"] == pytest.approx(one["train_loss"], rel=0.02), "the mean of the shares' means"
    assert two["step"] == one["step"], "the global batch is the same"
    weights = [
        torch.load(build / "digits/train/model.ckpt", weights_only=True)["state_dict"] for build in (alone, together)
    ]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-3) for name in weights[0])
    assert said.count("trained digits in") <= 1
    assert said.count("epoch 6 of 6") <= 1, "the first process speaks for all"
    with sqlite3.connect(project / "mlflow.db") as database:
        statuses = [status for (status,) in database.execute("SELECT status FROM runs WHERE name = 'digits train'")]
    assert sorted(statuses) in (["FINISHED", "FINISHED", "KILLED"], ["FINISHED", "FINISHED", "FINISHED"])


def test_a_lab_without_derivatives_of_torchs_says_that_it_trains_alone(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    settings.cache_clear()
    mlp, inputs = find("mlp"), Inputs(project / "build/digits/prepare")
    params = load(mlp, project / "params.yaml").train
    try:
        with pytest.raises(UserError, match="mlp takes its optimizers' steps itself: it trains in one process only"):
            train(mlp, params, inputs, tmp_path / "out", tmp_path / "checkpoints")
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert not (tmp_path / "out").exists()

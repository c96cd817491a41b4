"""A damaged checkpoint, a full disk and a second training cost nothing but a line."""

from __future__ import annotations

import logging
import pickle
import re
import shutil
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers.logger import Logger

from components.config import TrainParams
from components.errors import UserError
from components.labs import Inputs, Monitor, find
from components.params import load
from components.settings import project_root
from components.steps.export import export
from components.steps.train import train
from components.training.checkpoints import Checkpoints, read_checkpoint
from tests.components import bundles
from tests.digits_data import prepared
from tests.small_disk import run_on_small_disk
from tests.workspace import overlaid

DIGITS = find("digits")
SMALL = {"digits": {"train": {"model": "fully_connected", "hidden_sizes": [64], "max_epochs": 3, "patience": 3}}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of prepared digits and a training that came to its end."""
    root = tmp_path_factory.mktemp("checkpoints")
    overlaid(project_root() / "params.yaml", SMALL, root / "params.yaml")
    prepared(root / "prepare", 400)
    trained(root, root / "whole")
    shutil.copytree(root / "checkpoints", root / "kept")
    return root


def small(root: Path) -> TrainParams:
    return load(DIGITS, root / "params.yaml").train


def trained(root: Path, out: Path) -> dict[str, torch.Tensor]:
    train(DIGITS, small(root), Inputs(root / "prepare"), out, root / "checkpoints")
    state: dict[str, torch.Tensor] = torch.load(out / "model.ckpt", weights_only=True)["state_dict"]
    return state


@pytest.fixture
def interrupted(project: Path) -> Path:
    """The folder of checkpoints as a kill right before the end of the training leaves it."""
    shutil.rmtree(project / "checkpoints")
    shutil.copytree(project / "kept", project / "checkpoints")
    (folder,) = (project / "checkpoints" / "digits").iterdir()
    (folder / "finished.json").unlink()
    return folder


@pytest.mark.parametrize("keep", [0, 1000, -30], ids=["empty", "beginning", "all but its end"])
@pytest.mark.parametrize("torn", [["last.ckpt"], ["last.ckpt", "best.ckpt"]], ids=len)
def test_training_goes_on_without_a_torn_checkpoint_and_ends_with_the_same_weights(
    project: Path, interrupted: Path, caplog: pytest.LogCaptureFixture, torn: list[str], keep: int
) -> None:
    for name in torn:
        (interrupted / name).write_bytes((interrupted / name).read_bytes()[:keep])
    with caplog.at_level(logging.WARNING, "components"):
        found = trained(project, project / "out")
    assert [f"{name} is damaged" in caplog.text for name in torn] == [True] * len(torn)
    expected = torch.load(project / "whole" / "model.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert (interrupted / "curve.csv").read_text() == (project / "whole" / "curve.csv").read_text()


def test_the_last_epoch_is_kept_where_an_earlier_one_is_the_best(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill costs no more than the epoch that it ends."""
    monkeypatch.setattr(type(DIGITS), "monitor", Monitor("val_loss", "max"))  # the first epoch is the best
    train(DIGITS, small(project), Inputs(project / "prepare"), tmp_path / "out", tmp_path / "checkpoints")
    (folder,) = (tmp_path / "checkpoints" / "digits").iterdir()
    kept = [read_checkpoint(folder / name) for name in ("best.ckpt", "last.ckpt")]
    assert [checkpoint["epoch"] for checkpoint in kept if checkpoint] == [0, 2]


class Attack:
    """What runs code in whoever unpickles it: it makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def test_a_checkpoint_that_would_run_code_is_left_out_and_training_goes_on_without_it(
    project: Path, interrupted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = torch.load(interrupted / "last.ckpt", weights_only=True)
    torch.save({**whole, "attack": Attack(tmp_path / "ran")}, interrupted / "last.ckpt")
    torch.load(interrupted / "last.ckpt", weights_only=False)
    (tmp_path / "ran").unlink()  # so the attack works
    with caplog.at_level(logging.WARNING, "components"):
        found = trained(project, project / "out")
    assert "last.ckpt is damaged" in caplog.text
    assert not (tmp_path / "ran").exists()
    expected = torch.load(project / "whole" / "model.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_lightning_itself_runs_no_code_of_a_checkpoint_that_was_swapped_after_it_was_looked_at(
    project: Path, interrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = torch.load(interrupted / "last.ckpt", weights_only=True)
    torch.save({**whole, "attack": Attack(tmp_path / "ran")}, interrupted / "last.ckpt")
    monkeypatch.setattr("components.training.checkpoints.read_checkpoint", lambda path: whole)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        trained(project, project / "out")
    assert not (tmp_path / "ran").exists()


def test_export_runs_no_code_of_a_checkpoint(project: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "attack": Attack(tmp_path / "ran")}, tmp_path / "model.ckpt")
    params = load(DIGITS, project / "params.yaml")
    with pytest.raises(UserError, match="is not a checkpoint of the step train"):
        export(DIGITS, params, bundles.PROVENANCE, Inputs(project / "prepare"), tmp_path, tmp_path / "out")
    assert not (tmp_path / "ran").exists()


class Ordinary(pl.LightningModule):
    def __init__(self, command: str = "") -> None:
        super().__init__()


def test_hyperparameters_of_a_checkpoint_call_nothing_when_training_goes_on(
    project: Path, interrupted: Path, tmp_path: Path
) -> None:
    """Lightning's `_instantiator` names a function to be called; it is text, which weights_only lets pass."""
    whole = torch.load(interrupted / "last.ckpt", weights_only=True)
    attack = {"_instantiator": "tests.components.training.test_checkpoints.call", "command": str(tmp_path / "ran")}
    torch.save({**whole, "hyper_parameters": attack, "datamodule_hyper_parameters": attack}, interrupted / "last.ckpt")
    trained(project, project / "out")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(ValueError, match="not in the allowlist of trusted instantiators"):  # nor would it elsewhere
        Ordinary.load_from_checkpoint(interrupted / "last.ckpt", weights_only=True)
    assert not (tmp_path / "ran").exists()


def call(kind: object, arguments: dict[str, str]) -> Ordinary:
    """What an instantiator is."""
    Path(arguments["command"]).touch()
    return Ordinary()


LOADERS = re.compile(r"load_from_checkpoint|torch\.load\((?!.*weights_only=True)|weights_only=False|allow_pickle=True")


def test_no_module_reads_a_file_in_a_way_that_can_run_code() -> None:
    found = [
        f"{path.name}: {line.strip()}"
        for folder in ("components", "serving", "pipelines", "infra")
        for path in (project_root() / folder).rglob("*.py")
        if "node_modules" not in path.parts
        for line in path.read_text().splitlines()
        if LOADERS.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("text", ["{}", "", "[]", '{"best": 1}'])
def test_a_damaged_record_of_the_end_is_made_again(
    project: Path, interrupted: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    (interrupted / "finished.json").write_text(text)
    trained(project, project / "out")
    assert caplog.text.count("finished.json is damaged") == 1
    assert (interrupted / "finished.json").read_text() == (project / "whole" / "training.json").read_text()


def test_best_weights_that_are_gone_after_the_end_are_one_line(project: Path, interrupted: Path) -> None:
    (interrupted / "best.ckpt").write_bytes(b"")
    with pytest.raises(UserError, match=r"best\.ckpt is damaged or gone: remove .* and train again"):
        trained(project, project / "out")


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    Checkpoints().save_checkpoint({"epoch": 1}, path)

    def cut(*arguments: object) -> None:
        raise OSError("pulled out")

    monkeypatch.setattr("os.fsync", cut)
    with pytest.raises(UserError, match="pulled out"):
        Checkpoints().save_checkpoint({"epoch": 2}, path)
    assert read_checkpoint(path) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


class Impatient(Logger):
    """Starts the same training once more whenever the first one logs."""

    name, version = "impatient", "1"

    def __init__(self, again: Callable[[], object]) -> None:
        super().__init__()
        self.again, self.refusals = again, list[str]()

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        with pytest.raises(UserError) as refused:
            self.again()
        self.refusals.append(str(refused.value))

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        pass


def test_a_second_training_with_the_same_inputs_is_refused_while_the_first_goes_on(
    project: Path, tmp_path: Path
) -> None:
    arguments = (DIGITS, small(project), Inputs(project / "prepare"))
    impatient = Impatient(lambda: train(*arguments, tmp_path / "second", tmp_path / "checkpoints"))
    first = train(*arguments, tmp_path / "first", tmp_path / "checkpoints", [impatient])
    assert impatient.refusals
    assert all("another process trains digits with the same inputs" in line for line in impatient.refusals)
    assert not (tmp_path / "second").exists()
    assert train(*arguments, tmp_path / "second", tmp_path / "checkpoints") == first


FILLED = """
import sys, torch
from pathlib import Path
from components.errors import UserError
from components.labs import Inputs, find
from components.params import load
from components.steps.export import export
from components.steps.train import train

disk, root = map(Path, sys.argv[1:3])
lab = find("digits")
arguments = (lab, load(lab, root / "params.yaml").train, Inputs(root / "prepare"))
for room in (10, 300, 700):  # for no checkpoint, for the first of two in the first epoch, for both but no third
    (disk / "filler").write_bytes(bytes((2000 - room) * 1024))
    try:
        train(*arguments, disk / "build", disk / "checkpoints")
    except UserError as error:
        print(error)
    (disk / "filler").unlink()
train(*arguments, disk / "build", disk / "checkpoints")
state, expected = (
    torch.load(folder / "model.ckpt", weights_only=True)["state_dict"] for folder in (disk / "build", root / "whole")
)
assert all(torch.equal(state[name], expected[name]) for name in expected)
"""


def test_a_full_disk_is_one_line_and_with_room_again_training_goes_on(project: Path, tmp_path: Path) -> None:
    done = run_on_small_disk(tmp_path, 2000, FILLED, str(tmp_path), str(project))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.strip().splitlines()
    assert [line.startswith("cannot write ") and "the disk is full" in line for line in lines] == [True] * 3
    assert ["best.ckpt" in line or "last.ckpt" in line for line in lines] == [True] * 3

"""Training survives being killed, at any moment, as if it had never happened."""

import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch

from components.config import TrainParams
from components.datasets.music.prepare import prepare
from components.errors import UserError
from components.labs import Inputs, find
from components.labs.music.params import Train
from components.steps.train import train
from tests.face_data import section
from tests.music_data import ALL

MUSIC = find("music")
EPOCHS = 3


@pytest.fixture(scope="module")
def small() -> Train:
    """The project's own parameters, with a model that trains in seconds."""
    smaller = {"hidden_size": 32, "embedding_size": 16, "max_epochs": EPOCHS, "patience": 30, "precision": "32-true"}
    return section(Train, "music", "train", **smaller)


@pytest.fixture(scope="module")
def music_inputs(raw_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """A slice of the real tunes."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(raw_data, folder, ALL.model_copy(update={"limit": 60}))
    return Inputs(folder)


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Forks from a server that has imported the slow libraries already: a restart costs what training costs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    return context


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "model.ckpt", weights_only=True)["state_dict"]
    return state


MOMENTS = ("its first step", "its last step", "its checkpoint", "its end")
"""Moments of an epoch, before each of which a training is killed. Only the last leaves the epoch done."""


@dataclass(frozen=True)
class Killed:
    """A training in a process of its own, which dies before a moment of an epoch. folder: of output and checkpoints."""

    params: TrainParams
    inputs: Inputs
    folder: Path
    seeded: bool

    def start(self, processes: ForkServerContext, epoch: int | None = None, moment: str = "") -> int | None:
        process = processes.Process(target=_train, args=(self, epoch, moment))
        process.start()
        process.join()
        return process.exitcode

    @property
    def began(self) -> list[int]:
        """The epoch that each start began with, of those starts that began one."""
        return [int(line) for line in (self.folder / "began").read_text().split()]


def _train(training: Killed, epoch: int | None, moment: str) -> None:
    """In the child, so nothing that it replaces is put back."""
    from components.training.callbacks import EpochLine, StepSeed
    from components.training.checkpoints import Checkpoints

    current: list[int] = []

    def reach(here: str) -> None:
        if current and current[-1] == epoch and here == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def before_epoch(self: EpochLine, trainer: Any, module: Any) -> None:
        if not current:
            with (training.folder / "began").open("a") as file:
                file.write(f"{trainer.current_epoch}\n")
        reach("its end")  # of the one before: `current` is still that
        current.append(trainer.current_epoch)

    def before_step(self: EpochLine, trainer: Any, module: Any, batch: Any, index: int) -> None:
        if index == 0:
            reach("its first step")
        if index == trainer.num_training_batches - 1:
            reach("its last step")

    def save(self: Checkpoints, *arguments: Any, **options: Any) -> None:
        reach("its checkpoint")
        written(self, *arguments, **options)

    written = Checkpoints.save_checkpoint
    Checkpoints.save_checkpoint = save  # type: ignore[method-assign]
    EpochLine.on_train_epoch_start = before_epoch  # type: ignore[method-assign, assignment]
    EpochLine.on_train_batch_start = before_step  # type: ignore[method-assign, assignment]
    if not training.seeded:
        del StepSeed.on_train_batch_start
    train(MUSIC, training.params, training.inputs, training.folder / "out", training.folder / "checkpoints")


@pytest.mark.slow
@pytest.mark.parametrize("seeded", [True, False], ids=["with seeds", "without"])
def test_kills_in_and_after_every_epoch_leave_the_weights_of_an_uninterrupted_run_if_steps_have_seeds(
    tmp_path: Path, music_inputs: Inputs, small: Train, processes: ForkServerContext, seeded: bool
) -> None:
    """Each start but the first goes on from the last epoch boundary; without seeds of steps the kills would show."""
    trainings = [Killed(small, music_inputs, tmp_path / name, seeded) for name in ("whole", "killed")]
    for training in trainings:
        training.folder.mkdir()
    whole, killed = trainings
    assert whole.start(processes) == 0
    for epoch in range(EPOCHS):
        for moment in MOMENTS[: 3 if epoch == EPOCHS - 1 else 4]:  # the last one's end is the training's
            assert killed.start(processes, epoch, moment) == -signal.SIGKILL, (epoch, moment)
    assert killed.start(processes) == 0
    assert whole.began == [0]
    assert killed.began == [epoch for epoch in range(EPOCHS) for _ in MOMENTS]
    expected, found = (weights(training.folder / "out") for training in trainings)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected) is seeded
    curves = [(training.folder / "out" / "curve.csv").read_text() for training in trainings]
    assert (curves[0] == curves[1]) is seeded
    assert [path.name for path in killed.folder.iterdir() if path.name.startswith(".")] == []


def test_the_same_inputs_are_not_trained_twice_and_other_inputs_are(
    tmp_path: Path, music_inputs: Inputs, small: Train
) -> None:
    short = small.model_copy(update={"max_epochs": 1})
    checkpoints = tmp_path / "checkpoints"
    first = train(MUSIC, short, music_inputs, tmp_path / "out", checkpoints)
    (run,) = (checkpoints / "music").iterdir()
    written = (run / "finished.json").stat().st_mtime_ns
    assert train(MUSIC, short, music_inputs, tmp_path / "out", checkpoints) == first
    assert (run / "finished.json").stat().st_mtime_ns == written
    other = short.model_copy(update={"seed": 2})
    assert train(MUSIC, other, music_inputs, tmp_path / "out", checkpoints) != first
    assert len(list((checkpoints / "music").iterdir())) == 2


def test_a_read_only_place_for_the_output_is_one_line(tmp_path: Path, music_inputs: Inputs, small: Train) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        train(MUSIC, small, music_inputs, tmp_path / "file" / "train", tmp_path / "checkpoints")

"""Training survives being killed, at any moment, as if it had never happened."""

import multiprocessing
import os
import random
import shutil
import signal
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

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
KILLS = 20


@pytest.fixture(scope="module")
def small() -> Train:
    """The project's own parameters, with a model that trains in seconds."""
    smaller = {"hidden_size": 32, "embedding_size": 16, "max_epochs": 30, "patience": 30, "precision": "32-true"}
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
    context.set_forkserver_preload(["components.labs.music.training.model", "components.training.callbacks"])
    return context


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "model.ckpt", weights_only=True)["state_dict"]
    return state


def train_in_process(params: TrainParams, inputs: Inputs, out: Path, checkpoints: Path) -> None:
    train(MUSIC, params, inputs, out, checkpoints)


@pytest.mark.slow
def test_twenty_kills_at_random_moments_end_with_the_weights_of_an_uninterrupted_run(
    tmp_path: Path, music_inputs: Inputs, small: Train, processes: ForkServerContext
) -> None:
    def start(name: str) -> multiprocessing.process.BaseProcess:
        process = processes.Process(
            target=train_in_process, args=(small, music_inputs, tmp_path / name, tmp_path / f"checkpoints-{name}")
        )
        process.start()
        return process

    warm_up = processes.Process(target=time.monotonic)  # the server's imports are not training
    warm_up.start()
    warm_up.join()
    started = time.monotonic()
    uninterrupted = start("uninterrupted")
    uninterrupted.join()
    duration = time.monotonic() - started
    assert uninterrupted.exitcode == 0

    def assert_nothing_shows() -> None:
        expected, found = weights(tmp_path / "uninterrupted"), weights(tmp_path / "killed")
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[name], found[name]) for name in expected)
        curves = [(tmp_path / name / "curve.csv").read_text() for name in ("uninterrupted", "killed")]
        assert curves[0] == curves[1]

    moments = random.Random(1)  # noqa: S311
    killed, longest = 0, duration / 8
    while killed < KILLS:
        process = start("killed")
        process.join(timeout=moments.uniform(0, longest))
        assert process.pid is not None
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        if process.exitcode == 0:  # it came to its end: once more, and sooner, for the machine may have become faster
            assert_nothing_shows()
            shutil.rmtree(tmp_path / "killed")
            shutil.rmtree(tmp_path / "checkpoints-killed")
            longest /= 2
        else:
            killed += 1
    last = start("killed")
    last.join()
    assert last.exitcode == 0
    assert_nothing_shows()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


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

"""The hand-written network goes the way of every lab: trained, killed, resumed, exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.bundle import Bundle
from components.config import LabParams
from components.datasets.digits.reader import read_split
from components.errors import UserError
from components.families.classification.runtime import DigitModel
from components.files import read_json
from components.labs import find
from components.params import load
from components.settings import project_root
from components.steps.export import export
from components.steps.train import train
from tests.digits_data import prepared

PINS = project_root()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("prepared"), 800)


def params(**changed: Any) -> LabParams:
    every = load("scratch", project_root() / "params.yaml")
    small = {"hidden_sizes": (32,), "max_epochs": 4, "patience": 4, "batch_size": 32, **changed}
    return every.model_copy(update={"train": every.train.model_copy(update=small)})


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_it_learns_to_read_digits(activation: str, digits: Path, tmp_path: Path) -> None:
    metrics = train(find("scratch"), params(activation=activation), digits, tmp_path / "out", tmp_path / "kept")
    assert metrics["val_error"] < 0.3
    assert metrics["step"] == 4 * -(-len(read_split(digits, "train").labels) // 32)


def test_a_killed_training_ends_as_if_it_never_had_been(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.training import callbacks

    train(find("scratch"), params(), digits, tmp_path / "whole", tmp_path / "kept")
    ended = callbacks.EpochLine.on_train_epoch_start

    def die(self: Any, trainer: Any, module: Any) -> None:
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt
        ended(self, trainer, module)

    monkeypatch.setattr(callbacks.EpochLine, "on_train_epoch_start", die)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(find("scratch"), params(), digits, tmp_path / "resumed", tmp_path / "others")
    monkeypatch.undo()
    train(find("scratch"), params(), digits, tmp_path / "resumed", tmp_path / "others")
    whole, resumed = (
        torch.load(tmp_path / name / "model.ckpt", weights_only=True)["state_dict"] for name in ("whole", "resumed")
    )
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_training_that_diverges_is_one_line(digits: Path, tmp_path: Path) -> None:
    diverging = params(learning_rate=1e6)
    train(find("scratch"), params(max_epochs=1), digits, tmp_path / "out", tmp_path / "kept")
    before = (tmp_path / "out" / "training.json").read_text()
    for _ in range(2):  # run again, it does not find an end that it never came to
        with pytest.raises(UserError, match=r"val_loss is (nan|inf) after epoch 1: training diverged") as raised:
            train(find("scratch"), diverging, digits, tmp_path / "out", tmp_path / "kept")
        assert "\n" not in str(raised.value)
    assert (tmp_path / "out" / "training.json").read_text() == before, "the old output stays"


def test_its_bundle_is_the_hand_written_forward(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PINS)
    train(find("scratch"), params(), digits, tmp_path / "train", tmp_path / "kept")
    export(find("scratch"), params(), digits, tmp_path / "train", tmp_path / "export")
    bundle = Bundle.open(tmp_path / "export")
    model = find("scratch").module(digits, params().train)
    model.load_state_dict(torch.load(tmp_path / "train" / "model.ckpt", weights_only=True)["state_dict"])
    exported = DigitModel.load(bundle)
    images = read_split(digits, "test").images
    for batch in (3, 11, len(images)):
        expected = model(torch.from_numpy(images[:batch]).unsqueeze(1) / 255).numpy()
        assert np.abs(exported.logits(images[:batch], batch) - expected).max() < 1e-4
    assert {case["shape"][0] for case in read_json(tmp_path / "export" / "parity.json")["float"]} >= {1, 129}

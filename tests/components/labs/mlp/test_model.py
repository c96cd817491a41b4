"""The hand-written network learns, and its bundle computes what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.bundle import Bundle
from components.datasets.digits.reader import read_split
from components.errors import UserError
from components.families.classification.runtime import DigitModel
from components.files import read_json
from components.labs import Inputs, find
from components.labs.mlp.params import MlpParams
from components.params import load
from components.settings import project_root
from components.steps.export import export
from components.steps.train import train
from tests.components.bundles import PROVENANCE
from tests.digits_data import prepared

MLP = find("mlp")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(prepared(tmp_path_factory.mktemp("prepared"), 800))


def params(**changed: Any) -> MlpParams:
    every = load(MLP, project_root() / "params.yaml")
    assert isinstance(every, MlpParams)
    small = {"hidden_sizes": (32,), "max_epochs": 4, "patience": 4, "batch_size": 32, **changed}
    return every.model_copy(update={"train": every.train.model_copy(update=small)})


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_it_learns_to_read_digits(activation: str, digits: Inputs, tmp_path: Path) -> None:
    metrics = train(MLP, params(activation=activation).train, digits, tmp_path / "out", tmp_path / "kept")
    assert metrics["val_error"] < 0.3
    assert metrics["step"] == 4 * -(-len(read_split(digits.prepared, "train").labels) // 32)


def test_a_training_that_diverges_is_one_line(digits: Inputs, tmp_path: Path) -> None:
    diverging = params(learning_rate=1e6)
    train(MLP, params(max_epochs=1).train, digits, tmp_path / "out", tmp_path / "kept")
    before = (tmp_path / "out" / "training.json").read_text()
    for _ in range(2):  # run again, it does not find an end that it never came to
        with pytest.raises(UserError, match=r"val_loss is (nan|inf) after epoch 1: training diverged") as raised:
            train(MLP, diverging.train, digits, tmp_path / "out", tmp_path / "kept")
        assert "\n" not in str(raised.value)
    assert (tmp_path / "out" / "training.json").read_text() == before, "the old output stays"


def test_its_bundle_is_the_hand_written_forward(digits: Inputs, tmp_path: Path) -> None:
    train(MLP, params().train, digits, tmp_path / "train", tmp_path / "kept")
    export(MLP, params(), PROVENANCE, digits, tmp_path / "train", tmp_path / "export")
    bundle = Bundle.open(tmp_path / "export")
    model = MLP.module(digits, params().train)
    model.load_state_dict(torch.load(tmp_path / "train" / "model.ckpt", weights_only=True)["state_dict"])
    exported = DigitModel.load(bundle)
    images = read_split(digits.prepared, "test").images
    for batch in (3, 11, len(images)):
        expected = model(torch.from_numpy(images[:batch]).unsqueeze(1) / 255).numpy()
        assert np.abs(exported.logits(images[:batch], batch) - expected).max() < 1e-4
    assert {case["shape"][0] for case in read_json(tmp_path / "export" / "parity.json")["float"]} >= {1, 129}

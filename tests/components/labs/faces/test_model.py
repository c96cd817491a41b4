from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from components.datasets.faces.reader import read_split
from components.labs.faces.params import Train
from components.labs.faces.training.augment import plain
from components.labs.faces.training.model import Encoder, FaceClassifier, folded
from components.stats import roc_auc


def pictures_of(prepared: Path, count: int = 48) -> torch.Tensor:
    return plain(torch.from_numpy(np.array(read_split(prepared, "validation").images[:count])))


def test_folding_batch_norm_changes_no_output(trained: FaceClassifier, prepared_faces: Path) -> None:
    pictures = pictures_of(prepared_faces)
    with torch.inference_mode():
        before, after = trained.encoder(pictures), folded(trained.encoder)(pictures)
    assert torch.allclose(before, after, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded(trained.encoder).modules())


def test_the_dense_map_has_a_place_every_16_pixels() -> None:
    encoder = Encoder((4, 4, 4), 8, 3).eval()
    with torch.inference_mode():
        assert encoder.dense(torch.rand(2, 3, 64, 64)).shape == (2, 3, 1, 1)
        assert encoder.dense(torch.rand(1, 3, 96, 160)).shape == (1, 3, 3, 7)


def test_it_learns_in_a_few_seconds(trained: FaceClassifier, prepared_faces: Path) -> None:
    split = read_split(prepared_faces, "audit")
    with torch.inference_mode():
        logits = trained(plain(torch.from_numpy(np.array(split.images)))).numpy()
    assert roc_auc(logits[split.is_face], logits[~split.is_face]) > 0.95


def test_framing_does_not_break_it(trained: FaceClassifier, prepared_faces: Path) -> None:
    """The same faces moved by five pixels, and mirrored."""
    images = torch.from_numpy(np.array(read_split(prepared_faces, "audit").images))[:160]
    as_they_are = images[:, 8:72, 8:72].permute(0, 3, 1, 2) / 255
    moved = images[:, 3:67, 13:77].permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        base, shifted, mirrored = ((trained(each) > 0).float().mean() for each in (as_they_are, moved, moved.flip(3)))
    assert abs(base - shifted) < 0.2
    assert abs(base - mirrored) < 0.1


def test_the_learning_rate_rises_and_ends_at_zero(train_params: Train) -> None:
    model = FaceClassifier(train_params)
    model._trainer = SimpleNamespace(estimated_stepping_batches=100)  # type: ignore[assignment]
    schedule = model.configure_optimizers()["lr_scheduler"]["scheduler"]
    factor = schedule.lr_lambdas[0]
    assert factor(0) == 0
    assert factor(10) == pytest.approx(1)
    assert factor(100) == pytest.approx(0, abs=1e-9)
    assert math.isclose(factor(55), 0.5, abs_tol=1e-9)

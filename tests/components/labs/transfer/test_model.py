"""Fine-tuning: what learns in which part, and that it becomes a bundle."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pydantic import ValidationError

from components.bundle import Bundle
from components.datasets.faces.category_reader import categories, faces, middle, photographs
from components.errors import UserError
from components.files import sha256_file
from components.labs import Inputs
from components.labs.transfer.evaluation import MISTAKES
from components.labs.transfer.runtime import CategoryModel
from components.labs.transfer.training.batches import TransferData, shuffled
from components.labs.transfer.training.model import TransferModel
from components.steps.evaluate import evaluate
from components.steps.export import export
from components.steps.train import train
from tests.components.bundles import PROVENANCE
from tests.components.labs.transfer.made import CATEGORIES, LAB, params, write_prepared

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("prepared"))


def after(prepared: Path, epochs: int, **changed: Any) -> tuple[State, State, dict[str, float]]:
    """The weights before and after some epochs, and the last metrics."""
    chosen = params(**changed).train
    pl.seed_everything(1, verbose=False)
    model = TransferModel(chosen, categories(prepared), prepared)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trainer.fit(model, TransferData(prepared, chosen))
    return before, model.state_dict(), {name: float(value) for name, value in trainer.callback_metrics.items()}


def changed_parts(before: State, now: State) -> set[str]:
    return {name.split(".")[0] for name in before if not torch.equal(before[name], now[name])}


def test_a_frozen_backbone_stays_as_it_was_and_a_thawed_one_learns(prepared: Path) -> None:
    before, now, _ = after(prepared, 1)
    assert changed_parts(before, now) == {"head"}
    before, now, _ = after(prepared, 2)
    assert changed_parts(before, now) == {"head", "backbone"}


def test_pretraining_leaves_the_new_head_guessing(prepared: Path) -> None:
    before, now, metrics = after(prepared, 1, pretraining_epochs=1, max_epochs=4, patience=4)
    assert changed_parts(before, now) == {"backbone", "groups"}
    assert metrics["val_loss"] == pytest.approx(math.log(CATEGORIES), abs=1e-5)


def test_training_starts_from_the_state_file(prepared: Path, tmp_path: Path) -> None:
    _, pretrained, _ = after(prepared, 1, pretraining_epochs=1, max_epochs=4, patience=4)
    backbone = {name[9:]: tensor for name, tensor in pretrained.items() if name.startswith("backbone.")}
    torch.save(backbone, tmp_path / "vgg.pth")
    file = {"weights": str(tmp_path / "vgg.pth"), "sha256": sha256_file(tmp_path / "vgg.pth")}
    _, now, _ = after(prepared, 1, **file)  # frozen: it ends as it began
    assert all(torch.equal(now[f"backbone.{name}"], tensor) for name, tensor in backbone.items())
    with pytest.raises(UserError, match=r"is transfer\.width that of the file"):
        after(prepared, 1, width=0.25, **file)


def test_the_small_set_has_so_many_of_each_category_and_no_others(prepared: Path) -> None:
    found = photographs(prepared, "train", each=6, seed=1)
    assert np.bincount(found.labels).tolist() == [6] * CATEGORIES
    assert not np.array_equal(found.images, photographs(prepared, "train", each=6, seed=2).images)
    with pytest.raises(UserError, match=r"8 training pictures of '.*'; transfer\.train\.labelled asks for 9"):
        photographs(prepared, "train", each=9)


def test_an_epoch_depends_on_seed_and_epoch_only(prepared: Path) -> None:
    pictures = faces(prepared)
    chosen = params().train
    first, again, other = (shuffled(pictures, chosen, epoch)[0] for epoch in (1, 1, 2))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert first.images.shape == (8, 64, 64, 3)
    everything = [int(label) for batch in shuffled(pictures, chosen, 1) for label in batch.labels]
    assert len(everything) == len(pictures.labels) // 8 * 8


def test_it_becomes_a_bundle_that_computes_the_same_and_is_measured(prepared: Path, tmp_path: Path) -> None:
    inputs, chosen = Inputs(prepared), params(max_epochs=12, patience=12, frozen_epochs=2)
    train(LAB, chosen.train, inputs, tmp_path / "train", tmp_path / "kept")
    export(LAB, chosen, PROVENANCE, inputs, tmp_path / "train", tmp_path / "export")
    report = evaluate(LAB, chosen, inputs, tmp_path / "export", tmp_path / "evaluate")
    bundle = Bundle.open(tmp_path / "export")
    exported = CategoryModel.load(bundle, "float")
    test = photographs(prepared, "audit")
    images = middle(test.images, exported.size)
    model = TransferModel(chosen.train, categories(prepared), tmp_path)
    model.load_state_dict(torch.load(tmp_path / "train" / "model.ckpt", weights_only=True)["state_dict"])
    with torch.inference_mode():
        expected = model.eval()(torch.from_numpy(images)).numpy()
    assert np.abs(exported.logits(images, 5) - expected).max() < 1e-3
    assert exported.categories == categories(prepared)
    assert (tmp_path / "export" / "int8.onnx").stat().st_size < 0.5 * (tmp_path / "export/float.onnx").stat().st_size
    served = CategoryModel.load(bundle, report.serve["variant"])
    right = (served.logits(images).argmax(axis=1) == test.labels).mean()
    assert report.metrics["accuracy"] == pytest.approx(right)
    assert report.metrics["top_5_accuracy"] == 1.0  # there are four
    assert report.counts["accuracy"] == len(test.labels)
    page = (tmp_path / "evaluate" / "report.html").read_text()
    assert not [address for address in ("src=", "<script", "<link") if address in page]
    wrong = np.flatnonzero(served.logits(images).argmax(axis=1) != test.labels)
    assert page.count("% sure") == min(len(wrong), MISTAKES)
    assert (tmp_path / "evaluate" / "mistakes.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="pictures are read as bytes"):
        served.logits(images[:, :32])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": "vgg16.pth"}, "weights and sha256 are given together"),
        ({"weights": "vgg16.pth", "sha256": "0" * 64, "pretraining_epochs": 1}, "with weights there is no pretraining"),
        ({"pretraining_epochs": 2, "frozen_epochs": 1}, "max_epochs must leave an epoch"),
        ({"pretraining_epochs": 3, "max_epochs": 9}, "patience must be longer"),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        params(**changed)

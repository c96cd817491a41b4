"""Transfer: what learns in which epoch, and that it becomes a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pydantic import ValidationError

from components.bundle import Bundle
from components.datasets.faces.category_reader import Labelled, categories, photographs
from components.datasets.faces.reader import PHOTOGRAPHS
from components.errors import UserError
from components.files import sha256_file
from components.labs import Inputs
from components.labs.transfer.evaluation import MISTAKES, confusions
from components.labs.transfer.export import calibrated
from components.labs.transfer.runtime.model import CategoryModel
from components.labs.transfer.training.batches import TransferData, varied
from components.labs.transfer.training.head import fit_head
from components.labs.transfer.training.model import TransferModel
from components.labs.transfer.training.vgg import Vgg
from components.sources.archive import read_tar, write_tar
from components.steps.evaluate import evaluate
from components.steps.export import export
from components.steps.train import train
from tests.components.bundles import PROVENANCE
from tests.components.labs.transfer.made import CATEGORIES, LAB, params, weights, write_prepared

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("prepared"))


def after(prepared: Path, epochs: int, **changed: Any) -> tuple[State, State, dict[str, float]]:
    """The weights as they were pretrained, those after some epochs, and the last metrics."""
    chosen = params(**changed).train
    pl.seed_everything(1, verbose=False)
    model = TransferModel(chosen, categories(prepared), weights(), prepared)
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
    model.setup("fit")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trainer.fit(model, TransferData(prepared, chosen))
    return before, model.state_dict(), {name: float(value) for name, value in trainer.callback_metrics.items()}


def changed(before: State, now: State) -> set[str]:
    return {name for name in before if not torch.equal(before[name], now[name])}


def test_the_first_epoch_fits_the_head_and_nothing_else(prepared: Path) -> None:
    before, now, metrics = after(prepared, 1)
    assert changed(before, now) == {"head.weight", "head.bias"}
    assert metrics["val_error"] <= 0.25, "four categories of real photographs, by features of ImageNet"


def test_then_the_last_parts_learn_and_the_others_stay_as_they_were_published(prepared: Path) -> None:
    before, now, _ = after(prepared, 2, thawed_parts=2)
    moved = {name.removeprefix("backbone.").rpartition(".")[0] for name in changed(before, now)} - {"head"}
    assert moved and all(name.startswith(("blocks.15.", "head.")) for name in moved), moved
    assert not [name for name in changed(before, now) if "running" in name], "statistics are ImageNet's"


def test_a_backbone_from_scratch_learns_from_the_first_epoch(prepared: Path) -> None:
    before, now, _ = after(prepared, 1, pretrained=False, thawed_parts=18, max_epochs=1, patience=1)
    assert {"backbone.stem.convolution.weight", "head.weight"} <= changed(before, now)


def test_vgg16_starts_from_the_state_file(prepared: Path, tmp_path: Path) -> None:
    given = Vgg().state_dict()
    torch.save(given, tmp_path / "vgg.pth")
    file = {"weights": str(tmp_path / "vgg.pth"), "sha256": sha256_file(tmp_path / "vgg.pth")}
    _, now, _ = after(prepared, 1, backbone="vgg16", labelled=1, input_size=32, **file)
    assert all(torch.equal(now[f"backbone.{name}"], tensor) for name, tensor in given.items())


class Gives(torch.nn.Module):
    """A backbone that gives the same whatever it is shown."""

    def __init__(self, features: torch.Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.features


@pytest.mark.parametrize(("pretrained", "expected"), [(True, [0, 0.2, 2]), (False, [0, 0.04, 4])])
def test_features_are_roots_and_have_a_slope_where_the_backbone_sees_nothing(
    pretrained: bool, expected: list[float], prepared: Path
) -> None:
    model = TransferModel(params(pretrained=pretrained).train, categories(prepared), weights(), prepared)
    seen = torch.tensor([[0.0, 0.04, 4.0]], requires_grad=True)
    model.register_module("backbone", Gives(seen))
    features = model.features(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    assert features.tolist()[0] == pytest.approx(expected, abs=0.035)
    features.sum().backward()
    assert seen.grad is not None and bool((seen.grad > 0).all()) and bool(seen.grad.isfinite().all())


def test_a_fitted_head_is_the_minimum_of_its_loss() -> None:
    draw = torch.Generator().manual_seed(1)
    features, labels = 5 + 3 * torch.randn(60, 4, generator=draw), torch.arange(60) % 3
    head = torch.nn.Linear(4, 3)
    fit_head(head, features, labels, 1e-2, 100)
    deviation = features.std(0)
    weight = (head.weight * deviation).detach().requires_grad_()
    bias = (head.bias + head.weight @ features.mean(0)).detach().requires_grad_()
    scaled = (features - features.mean(0)) / deviation
    loss = torch.nn.functional.cross_entropy(scaled @ weight.T + bias, labels) + 1e-2 * weight.square().sum()
    loss.backward()
    assert weight.grad is not None and bias.grad is not None
    assert max(float(weight.grad.abs().max()), float(bias.grad.abs().max())) < 1e-3


def test_the_small_set_has_so_many_of_each_category_and_no_others(prepared: Path) -> None:
    found = photographs(prepared, "train", 64, each=6, seed=1)
    assert np.bincount(found.labels).tolist() == [6] * CATEGORIES
    assert not np.array_equal(found.images, photographs(prepared, "train", 64, each=6, seed=2).images)
    with pytest.raises(UserError, match=r"8 training pictures of '.*'; transfer\.train\.labelled asks for 9"):
        photographs(prepared, "train", 64, each=9)


def test_an_epoch_depends_on_seed_and_epoch_only(prepared: Path) -> None:
    pictures = photographs(prepared, "train", 64)
    chosen = params().train
    first, again, other = (varied(pictures, chosen, epoch)[0] for epoch in (1, 1, 2))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert first.images.shape == (8, 64, 64, 3)
    everything = [int(label) for batch in varied(pictures, chosen, 1) for label in batch.labels]
    assert len(everything) == len(pictures.labels) // 8 * 8


def test_a_photograph_that_is_missing_or_damaged_is_one_line(prepared: Path, tmp_path: Path) -> None:
    for path in prepared.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    pairs = list(read_tar(prepared / PHOTOGRAPHS))
    write_tar(tmp_path / PHOTOGRAPHS, pairs[1:])
    with pytest.raises(UserError, match=f"has no {pairs[0][0]}: run the step prepare again"):
        photographs(tmp_path, "train", 64)
    write_tar(tmp_path / PHOTOGRAPHS, [(pairs[0][0], pairs[0][1][:900]), *pairs[1:]])
    with pytest.raises(UserError, match=f"{pairs[0][0]} is damaged: run the step prepare again"):
        photographs(tmp_path, "train", 64)


def test_the_temperature_makes_probabilities_as_sure_as_they_are_right() -> None:
    """Logits that are right for three quarters of the pictures, and far too sure of it."""

    class Known:
        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return 30 * torch.nn.functional.one_hot(images[:, 0, 0, 0].long(), 4).float()

    labels = np.arange(64) % 4
    shown = np.where(np.arange(64) < 48, labels, (labels + 1) % 4)
    images = np.broadcast_to(shown[:, None, None, None], (64, 1, 1, 3)).astype(np.uint8)
    model: Any = Known()
    temperature = calibrated(model, Labelled(images, labels))
    sure = float(torch.softmax(torch.tensor([30.0, 0, 0, 0]) / temperature, 0)[0])
    assert sure == pytest.approx(0.75, abs=0.01)


def test_the_most_frequent_confusions_come_first() -> None:
    names = ("ant", "bass", "crab & co")
    labels, answers = np.array([0] * 4 + [1] * 8 + [2] * 3), np.array([0, 0, 2, 2] + [1] * 6 + [0, 2] + [0, 0, 1])
    assert confusions(answers, labels, names) == [
        ("crab &amp; co", "ant", "2 of 3"),
        ("ant", "crab &amp; co", "2 of 4"),
        ("crab &amp; co", "bass", "1 of 3"),
        ("bass", "ant", "1 of 8"),
        ("bass", "crab &amp; co", "1 of 8"),
    ]
    assert confusions(labels, labels, names) == []


def test_it_becomes_a_bundle_that_computes_the_same_and_is_measured(prepared: Path, tmp_path: Path) -> None:
    inputs, chosen = Inputs(prepared, weights()), params()
    train(LAB, chosen.train, inputs, tmp_path / "train", tmp_path / "kept")
    export(LAB, chosen, PROVENANCE, inputs, tmp_path / "train", tmp_path / "export")
    report = evaluate(LAB, chosen, inputs, tmp_path / "export", tmp_path / "evaluate")
    bundle = Bundle.open(tmp_path / "export")
    exported = CategoryModel.load(bundle, "float")
    test = photographs(prepared, "audit", exported.size)
    images = test.images
    model = TransferModel(chosen.train, categories(prepared), {}, tmp_path)
    model.load_state_dict(torch.load(tmp_path / "train" / "model.ckpt", weights_only=True)["state_dict"])
    with torch.inference_mode():
        expected = model.eval()(torch.from_numpy(images)).numpy() / bundle.spec["temperature"]
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
        (
            {"weights": "x.pth", "sha256": "0" * 64},
            "weights is the state file of a pretrained vgg16, and of nothing else",
        ),
        ({"backbone": "vgg16"}, "weights is the state file of a pretrained vgg16, and of nothing else"),
        ({"pretrained": False, "thawed_parts": 0}, "has to learn"),
        ({"input_size": 100}, "multiple of 32"),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        params(**changed)

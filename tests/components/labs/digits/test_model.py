"""Both networks for digits learn, become bundles and are measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from components.bundle import Bundle
from components.datasets.digits.reader import read_split
from components.errors import UserError
from components.families.classification.params import Export
from components.families.classification.runtime import DigitModel
from components.labs import Inputs, find
from components.labs.digits.model import DigitsModel, network
from components.labs.digits.params import DigitsParams
from components.params import load
from components.settings import project_root
from components.steps.evaluate import evaluate
from components.steps.export import export
from components.steps.train import train
from tests.components.bundles import PROVENANCE
from tests.digits_data import prepared

DIGITS = find("digits")
MODELS = ("fully_connected", "convolutional")
SMALL = {"channels": (8, 16), "dense_size": 32, "hidden_sizes": (48,), "max_epochs": 4, "patience": 4, "batch_size": 32}
DETECTOR = {"detectors": {"angle": (32,)}, "outliers": 20}
QUICK = {"shifts": (1,), "rotations": (15.0,), "noises": (0.1,), "blurs": (1.0,)}


def params(model: str = "convolutional", **changed: Any) -> DigitsParams:
    every = load(DIGITS, project_root() / "params.yaml")
    assert isinstance(every, DigitsParams)
    return every.model_copy(
        update={
            "train": every.train.model_copy(update={"model": model, **SMALL, **changed}),
            "evaluate": every.evaluate.model_copy(update=QUICK),
            "export": every.export.model_copy(update={"calibration": 100, **DETECTOR}),
        }
    )


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(prepared(tmp_path_factory.mktemp("prepared"), 900))


@pytest.fixture(scope="module", params=MODELS)
def bundle(
    request: pytest.FixtureRequest, digits: Inputs, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A small network trained on a few digits, and the folder of its outputs."""
    folder = tmp_path_factory.mktemp(request.param)
    chosen = params(request.param)
    train(DIGITS, chosen.train, digits, folder / "train", folder / "kept")
    export(DIGITS, chosen, PROVENANCE, digits, folder / "train", folder / "export")
    return request.param, folder


def test_it_learns_to_read_digits(bundle: tuple[str, Path], digits: Inputs) -> None:
    model = DigitModel.load(Bundle.open(bundle[1] / "export"))
    test = read_split(digits.prepared, "test")
    assert (model.logits(test.images).argmax(axis=1) == test.labels).mean() > 0.7


@pytest.mark.parametrize("channels", [(8,), (8, 8), (8, 8, 8), (8, 8, 8, 8)])
def test_every_pixel_counts_however_many_convolutions_there_are(channels: tuple[int, ...]) -> None:
    model = network(params(channels=channels).train).eval()
    images = torch.rand(200, 1, 28, 28, requires_grad=True)
    logits = model(images)
    assert logits.shape == (200, 10)
    logits[:, 0].sum().backward()
    assert images.grad is not None
    assert (images.grad != 0).any(dim=0).all()


def test_the_graph_computes_the_network_at_batches_it_has_not_seen(bundle: tuple[str, Path], digits: Inputs) -> None:
    name, folder = bundle
    module = DIGITS.module(digits, params(name).train)
    module.load_state_dict(torch.load(folder / "train" / "model.ckpt", weights_only=True)["state_dict"])
    module.eval()
    exported = DigitModel.load(Bundle.open(folder / "export"), "float")
    images = read_split(digits.prepared, "test").images
    for batch in (3, 10, 50):
        with torch.inference_mode():
            expected = module(torch.from_numpy(images[:batch]).unsqueeze(1) / 255).numpy()
        assert np.abs(exported.logits(images[:batch], batch) - expected).max() < 1e-4


def test_int8_multiplies_bytes_and_is_smaller(bundle: tuple[str, Path]) -> None:
    folder = bundle[1] / "export"
    assert (folder / "int8.onnx").stat().st_size < 0.6 * (folder / "float.onnx").stat().st_size
    operators = {node.op_type for node in onnx.load(folder / "int8.onnx").graph.node}
    assert "QuantizeLinear" in operators
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(folder / "int8.onnx").graph.node}


def test_evaluation_measures_the_bundle_and_shows_its_mistakes(
    bundle: tuple[str, Path], digits: Inputs, tmp_path: Path
) -> None:
    report = evaluate(DIGITS, params(), digits, bundle[1] / "export", tmp_path / "evaluate")
    test = read_split(digits.prepared, "test")
    read = (
        DigitModel.load(Bundle.open(bundle[1] / "export"), report.serve["variant"]).logits(test.images).argmax(axis=1)
    )
    assert report.metrics["accuracy"] == pytest.approx((read == test.labels).mean())
    assert set(report.variants) == {"float", "int8"}
    assert report.counts["accuracy"] == len(test.labels)
    page = (tmp_path / "evaluate" / "report.html").read_text()
    assert not [address for address in ("src=", "<script", "<link") if address in page]
    for plot in ("confusion", "calibration", "robustness"):
        assert (tmp_path / "evaluate" / "plots" / f"{plot}.csv").stat().st_size > 0
    assert (tmp_path / "evaluate" / "mistakes.png").read_bytes().startswith(b"\x89PNG")
    validation = len(read_split(digits.prepared, "validation").labels)
    found = {name: reference.values for name, reference in report.drift_references.items()}
    assert found == {**dict.fromkeys(("ink", "probability", "distance"), validation), "picture_side": 0}


def exporting(**changed: object) -> Export:
    small = {"calibration": 10, "prototypes": 50, **DETECTOR, "parity_tolerance": 1e-4}
    return params().export.model_copy(update={"variants": ("float", "int8"), **small, **changed})


def test_a_model_that_diverged_is_not_exported(digits: Inputs, tmp_path: Path) -> None:
    chosen = params().train
    model = DigitsModel(network(chosen), chosen)
    with torch.no_grad():
        next(iter(model.network.parameters())).fill_(float("nan"))
    with pytest.raises(UserError, match="training diverged"):
        DIGITS.export(model, digits, tmp_path, exporting(variants=("float",)))


def test_weights_that_are_numbers_and_overflow_are_one_line(digits: Inputs, tmp_path: Path) -> None:
    chosen = params("fully_connected").train
    model = DigitsModel(network(chosen), chosen).eval()
    with torch.no_grad():
        for weight in model.network.parameters():
            weight.fill_(1e30)
    exported = exporting()
    with pytest.raises(UserError, match=r"differs from the model by (nan|inf) in its logits"):
        DIGITS.export(model, digits, tmp_path, exported)
    assert not (tmp_path / "parity.json").exists()


def test_a_float_graph_that_differs_is_not_exported(digits: Inputs, tmp_path: Path) -> None:
    chosen = params().train
    with pytest.raises(UserError, match=r"differs from the model .* it is not exported"):
        DIGITS.export(
            DigitsModel(network(chosen), chosen).eval(),
            digits,
            tmp_path,
            exporting(variants=("float",), parity_tolerance=1e-12),
        )

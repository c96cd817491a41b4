"""The same two models on faces: colour, bytes as they are, and the face detector to judge by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.bundle import Bundle, write_bundle
from components.families.generation.evaluation.evaluate import Comparison, Real
from components.families.generation.evaluation.features import Features
from components.families.generation.params import GenerationParams
from components.families.generation.runtime import Generator
from components.labs import Inputs, find
from components.params import load
from components.settings import project_root
from components.steps.evaluate import evaluate
from components.steps.export import export
from components.steps.train import train
from tests.components.bundles import PROVENANCE
from tests.face_data import section, write_prepared

LAB: Any = find("face_generation")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(write_prepared(tmp_path_factory.mktemp("faces")))


@pytest.fixture(scope="module")
def detector(faces: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of an untrained face detector: what it sees is enough to measure with."""
    from components.labs.faces.params import Export as FacesExport
    from components.labs.faces.params import Train as FacesTrain

    torch.manual_seed(0)
    lab = find("faces")
    module = lab.module(faces, section(FacesTrain, "faces", "train", widths=[8, 8, 8], hidden_size=16)).eval()
    return _bundle(
        "faces", module, section(FacesExport, "faces", "export", variants=["float"]), faces, tmp_path_factory
    )


def _bundle(lab: str, module: Any, params: Any, faces: Inputs, folders: pytest.TempPathFactory) -> Bundle:
    folder = folders.mktemp(lab)
    write_bundle(folder, lab, find(lab).export(module, faces, folder, params), PROVENANCE)
    return Bundle.open(folder)


def params(model: str) -> GenerationParams:
    every = load(LAB, project_root() / "params.yaml")
    assert isinstance(every, GenerationParams)
    small = {"model": model, "latent_dim": 6, "widths": (16, 8, 8), "discriminator_widths": (16, 8, 8)}
    small |= {"batch_size": 32, "max_epochs": 8, "patience": 8, "averaged_steps": 20, "learning_rate": 0.005}
    quick = {"samples": 100, "manifold_samples": 50, "likelihood_pictures": 3, "importance_samples": 5, "shown": 3}
    return every.model_copy(
        update={
            "train": every.train.model_copy(update=small),
            "export": every.export.model_copy(update={"calibration": 16}),
            "evaluate": every.evaluate.model_copy(update=quick),
        }
    )


@pytest.mark.parametrize("model", ["vae", "gan"])
def test_a_model_learns_faces_and_becomes_a_bundle_that_is_measured_by_the_detector(
    model: str, faces: Inputs, detector: Bundle, tmp_path: Path
) -> None:
    """What it makes comes nearer to faces than what a model makes that was never trained."""
    chosen = params(model)
    train(LAB, chosen.train, faces, tmp_path / "train", tmp_path / "kept")
    export(LAB, chosen, PROVENANCE, faces, tmp_path / "train", tmp_path / "export")
    generator = Generator.load(Bundle.open(tmp_path / "export"))
    assert generator.samples(1, 2).shape == (2, 64, 64, 3)
    reference_models = {"faces": detector.folder}
    report = evaluate(LAB, chosen, faces, tmp_path / "export", tmp_path / "evaluate", reference_models)
    real = Real(LAB.pictures(faces.prepared, "train"), LAB.pictures(faces.prepared, "audit"))
    comparison = Comparison(real, Features(detector), chosen.evaluate)
    with torch.inference_mode():
        untrained = LAB.module(faces, chosen.train).eval()
        values = untrained(torch.from_numpy(generator.latents(1, 100))).sigmoid()
    noise = (values * 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert report.metrics["frechet_distance"] < 0.5 * comparison.measured("untrained", noise)["frechet_distance"]
    assert report.counts["frechet_distance"] == 100
    if model == "vae":
        # 8 bits for each of 3 x 64 x 64 bytes are 68,130 nats: what is learned tells more than none.
        assert -68_130 < report.metrics["elbo"] <= report.metrics["importance_bound"] < 0
    assert json.loads((tmp_path / "export" / "parity.json").read_text())["float"]


def test_features_are_what_enters_the_detectors_last_layer(faces: Inputs, detector: Bundle) -> None:
    """Put through that layer by hand, they give the logits that the bundle gives."""
    import onnx
    from onnx import numpy_helper

    images = LAB.pictures(faces.prepared, "audit")[:9]
    features = Features(detector)(images, 4)
    graph = onnx.load(detector.folder / "float.onnx").graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    last = [node for node in graph.node if node.op_type == "Conv"][-1]
    kernel, bias = (weights[name] for name in last.input[1:3])
    logits = detector.session("float").run(None, {"images": images})[0]
    assert np.allclose(features @ kernel.reshape(1, -1).T + bias, logits[:, None], atol=1e-4)


def test_only_faces_are_learned(faces: Inputs) -> None:
    found = LAB.pictures(faces.prepared, "train")
    assert found.shape == (320, 64, 64, 3)

"""The same two models on faces: colour, bytes as they are, and the face detector to judge by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from components.bundle import Bundle, write_bundle
from components.config import LabParams, load
from components.families.generation.evaluation.evaluate import Real, Yardstick
from components.families.generation.evaluation.features import Features
from components.families.generation.runtime import Generator
from components.labs import find
from components.provenance import Provenance
from components.settings import project_root
from components.steps.evaluate import evaluate
from components.steps.export import export
from components.steps.train import train
from tests.face_data import section, write_prepared

HERE = Provenance(git_commit="", git_dirty=False, data_version="", data_profile="course", params_hash="", code_hash="")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def detector(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of an untrained face detector: what it sees is enough to measure with."""
    from components.labs.faces.params import Export as FacesExport
    from components.labs.faces.params import Train as FacesTrain

    torch.manual_seed(0)
    lab = find("faces")
    module = lab.module(faces, section(FacesTrain, "faces", widths=[8, 8, 8], hidden_size=16)).eval()
    return _bundle(
        "faces", module, section(FacesExport, "export", "faces", variants=["float"]), faces, tmp_path_factory
    )


def _bundle(lab: str, module: Any, params: Any, faces: Path, folders: pytest.TempPathFactory) -> Bundle:
    folder = folders.mktemp(lab)
    write_bundle(folder, lab, find(lab).export(module, faces, folder, params), HERE)
    return Bundle.open(folder)


def params(model: str) -> LabParams:
    every = load("portraits", project_root() / "params.yaml")
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
    model: str, faces: Path, detector: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it makes comes nearer to faces than what a model makes that was never trained."""
    monkeypatch.chdir(project_root())
    lab, chosen = cast(Any, find("portraits")), params(model)
    train(lab, chosen, faces, tmp_path / "train", tmp_path / "kept")
    export(lab, chosen, faces, tmp_path / "train", tmp_path / "export")
    generator = Generator.load(Bundle.open(tmp_path / "export"))
    assert generator.samples(1, 2).shape == (2, 64, 64, 3)
    instruments = {"faces": detector.folder}
    report = evaluate(lab, chosen, faces, tmp_path / "export", tmp_path / "evaluate", instruments)
    real = Real(lab.pictures(faces, "train"), lab.pictures(faces, "audit"))
    yardstick = Yardstick(real, Features(detector), chosen.evaluate)
    with torch.inference_mode():
        untrained = lab.module(faces, chosen.train).eval()
        values = untrained(torch.from_numpy(generator.latents(1, 100))).sigmoid()
    noise = (values * 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert report.metrics["frechet_distance"] < 0.5 * yardstick.measured("untrained", noise)["frechet_distance"]
    assert report.counts["frechet_distance"] == 100
    if model == "vae":
        # 8 bits for each of 3 x 64 x 64 bytes are 68,130 nats: what is learned tells more than none.
        assert -68_130 < report.metrics["elbo"] <= report.metrics["importance_bound"] < 0
    assert json.loads((tmp_path / "export" / "parity.json").read_text())["float"]


def test_features_are_what_enters_the_detectors_last_layer(faces: Path, detector: Bundle) -> None:
    """Put through that layer by hand, they give the logits that the bundle gives."""
    import onnx
    from onnx import numpy_helper

    lab: Any = find("portraits")
    images = lab.pictures(faces, "audit")[:9]
    features = Features(detector)(images, 4)
    graph = onnx.load(detector.folder / "float.onnx").graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    last = [node for node in graph.node if node.op_type == "Conv"][-1]
    kernel, bias = (weights[name] for name in last.input[1:3])
    logits = detector.session("float").run(None, {"images": images})[0]
    assert np.allclose(features @ kernel.reshape(1, -1).T + bias, logits[:, None], atol=1e-4)


def test_only_faces_are_learned(faces: Path) -> None:
    lab: Any = find("portraits")
    found = lab.pictures(faces, "train")
    assert found.shape == (320, 64, 64, 3)

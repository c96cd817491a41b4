"""The same two models on faces: colour, bytes as they are, and the face detector to judge by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.bundle import Bundle, write_bundle
from components.generation.evaluation.features import Features
from components.generation.params import Evaluate, Export, Train
from components.generation.runtime import Generator
from components.labs import find
from components.provenance import Provenance
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


@pytest.mark.parametrize("model", ["vae", "gan"])
def test_a_model_of_faces_becomes_a_bundle_that_is_measured_by_the_detector(
    model: str, faces: Path, detector: Bundle, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    torch.manual_seed(1)
    train = section(Train, "portraits", latent_dim=6, widths=[8, 8], discriminator_widths=[8, 8]).model_copy(
        update={"model": model}
    )
    lab = find("portraits")
    bundle = _bundle(
        "portraits",
        lab.module(faces, train).eval(),
        section(Export, "export", "portraits", calibration=16),
        faces,
        tmp_path_factory,
    )
    generator = Generator.load(bundle)
    assert generator.samples(1, 2).shape == (2, 64, 64, 3)
    quick = {"samples": 50, "manifold_samples": 50, "likelihood_pictures": 3, "importance_samples": 5, "shown": 3}
    evaluation = lab.evaluate(
        bundle, faces, tmp_path, section(Evaluate, "evaluate", "portraits", **quick), {"faces": detector}
    )
    assert evaluation.metrics["frechet_distance"] > evaluation.metrics["held_out_frechet_distance"]
    if model == "vae":
        # 8 bits for each of 3 x 64 x 64 bytes are 68,130 nats; untrained, it may need a few more.
        assert -100_000 < evaluation.metrics["elbo"] < -20_000
    assert json.loads((bundle.folder / "parity.json").read_text())["float"]


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

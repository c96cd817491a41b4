"""Bundles of small models, and servers of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from playwright.sync_api import Browser

from components.bundle import Bundle, BundleSpec, Candidate, write_bundle
from components.config import Bound, Gate
from components.datasets.digits.raw import read_raw
from components.datasets.digits.reader import Split, read_split
from components.datasets.music.reader import read_texts
from components.files import sha256_file, write_json
from components.labs.music.export.graphs import reading_graph, sampling_graph
from components.labs.music.export.graphs.weights import Weights
from components.labs.music.features import references
from components.records import AuditReport, Evaluation
from tests.components import bundles
from tests.components.bundles import PROVENANCE
from tests.digits_data import raw_folders
from tests.serving.browsing import chromium
from tests.serving.servers import Server, params_of, serving
from tests.shared import made_once

LIMITATION = "It knows six tunes."
FACES_LIMITATION = "It has seen few faces."

EASY = {"key": "G Major", "metre": "6/8", "type": "jig", "temperature": 0.5}
"""What the small model writes well."""

DIGITS = 3000
"""Pictures of each split; preparing all of MNIST would take longer than learning from these."""
DIGIT_STEPS = 250


@pytest.fixture(scope="session")
def promoted_bundle(music_bundle: Path, prepared_music: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle with the records that its evaluation, its gate and its promotion leave beside it."""
    folder = tmp_path_factory.mktemp("promoted") / "music"
    shutil.copytree(music_bundle, folder)
    bundle = Bundle.open(folder)
    evaluation = bundle.report(
        Evaluation(
            metrics={"bits_per_char": 1.3},
            serve={"variant": "int8"},
            limitations=(LIMITATION,),
            drift_references=references(read_texts(prepared_music, "train")),
        )
    )
    bundles.promoted(folder, evaluation, Gate(metrics={"bits_per_char": Bound(max=1.425)}), mlflow_run="1" * 32)
    return folder


@pytest.fixture(scope="session")
def endless_bundle(music_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose model never writes a line's end, so that its tunes go on until they are cut off. Not promoted."""
    given = Bundle.open(music_bundle)
    characters, hidden = given.spec["vocabulary"], 16
    draw = np.random.default_rng(0)
    weights = Weights(
        table=draw.normal(size=(len(characters), 4 * hidden)).astype(np.float32),
        products=[draw.normal(size=(hidden, 4 * hidden)).astype(np.float32)],
        biases=[],
        decoder=draw.normal(size=(hidden, len(characters))).astype(np.float32),
        decoder_bias=np.where(np.array(characters) == "\n", -1e9, 0).astype(np.float32),
        query=draw.normal(size=(hidden, 4)).astype(np.float32),
        key=draw.normal(size=(hidden, 4)).astype(np.float32),
        value=draw.normal(size=(len(characters), 4)).astype(np.float32),
        output=draw.normal(size=(4, len(characters))).astype(np.float32),
        lag=given.spec["attention_lag"],
        window=32,
    )
    folder = tmp_path_factory.mktemp("endless")
    paths = {"float_read": folder / "float_read.onnx", "float_sample": folder / "float_sample.onnx"}
    onnx.save(reading_graph(weights, "float"), paths["float_read"])
    onnx.save(sampling_graph(weights, "float"), paths["float_sample"])
    spec = {**given.spec, "layers": 1, "hidden_size": hidden, "variants": ["float"]}
    write_bundle(folder, "music", BundleSpec(paths, spec), given.manifest.provenance)
    return folder


@pytest.fixture(scope="session")
def server(promoted_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving("music", promoted_bundle, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def promoted_faces(faces_bundle: Bundle, prepared_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The face bundle, evaluated, audited (with little asked of it) and promoted, as promote registers it."""
    from components.labs.faces.audit.run import audit
    from components.labs.faces.evaluation.evaluate import evaluate
    from components.labs.faces.params import Evaluate
    from components.labs.faces.runtime.model import FaceModel
    from tests.components.labs.faces.audit.made import params
    from tests.face_data import section

    folder = tmp_path_factory.mktemp("promoted-faces") / "faces"
    shutil.copytree(faces_bundle.folder, folder)
    bundle = Bundle.open(folder)
    few = section(Evaluate, "faces", "evaluate", scenes=8, false_boxes=4.0, false_positive_rate=0.05)
    # A model that was trained for seconds is sure of nothing.
    few = few.model_copy(update={"detection": few.detection.model_copy(update={"likely": 0.0})})
    measured = evaluate(bundle, prepared_faces, tmp_path_factory.mktemp("evaluation"), few)
    evaluation = bundle.report(measured.model_copy(update={"limitations": (FACES_LIMITATION,)}))
    easy = dict.fromkeys(("max_false_positive_rate", "max_gap", "max_calibration_error"), 0.99)
    few_audits = {"audits": 10, "gaps": [0.1]}
    asked = params(
        draws=200, simulation=few_audits, small_cell=1, min_faces=1, min_photographs=1, min_recall=0.01, **easy
    )
    reports = tmp_path_factory.mktemp("audit")
    findings = audit(Candidate(bundle, evaluation), None, prepared_faces, reports, asked, FaceModel.load)
    files = {path.name: sha256_file(path) for path in reports.iterdir()}
    shutil.copytree(reports, folder, dirs_exist_ok=True)
    audited = AuditReport.of_audit(evaluation, findings, None, files)
    write_json(folder / "audit.json", audited.model_dump(mode="json"))
    decision = bundles.promoted(folder, evaluation, Gate(metrics={"recall": Bound(min=0.01)}))
    assert decision.verdict.allows, decision.reasons
    return folder


@pytest.fixture(scope="session")
def faces_server(promoted_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving("faces", promoted_faces, tmp_path_factory.mktemp("faces-server")) as running:
        yield running


@pytest.fixture(scope="session")
def prepared_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if "mnist" not in raw_folders():
        pytest.skip("no MNIST: `make data` fetches it")

    def prepare(folder: Path) -> None:
        raw = read_raw(raw_folders()["mnist"])
        for split, published, first in (("train", "train", 0), ("validation", "train", DIGITS), ("test", "test", 0)):
            rows = np.flatnonzero(raw.published == published)[first : first + DIGITS]
            np.save(folder / f"{split}_images.npy", raw.images[rows])
            np.save(folder / f"{split}_labels.npy", raw.labels[rows])

    return made_once(tmp_path_factory, "prepared_digits", prepare)


@pytest.fixture(scope="session")
def test_digits(prepared_digits: Path) -> Split:
    return read_split(prepared_digits, "test")


@pytest.fixture(scope="session")
def digits_bundle(prepared_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that reads nine of ten digits. It has passed no gate."""
    made = made_once(
        tmp_path_factory, "digits_bundle", lambda folder: _write_digits(folder / "digits", prepared_digits)
    )
    return made / "digits"


def _write_digits(folder: Path, prepared_digits: Path) -> None:
    import torch
    from torch.nn import functional

    from components.families.classification.export.bundle import export
    from components.families.classification.training.ink import to_ink
    from components.labs.digits.model import network

    params = params_of("digits")
    torch.manual_seed(0)
    small = params.train.model_copy(update={"model": "fully_connected", "hidden_sizes": (64,), "dropout": 0.0})
    model = network(small)
    digits = read_split(prepared_digits, "train")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    draw = np.random.default_rng(0)
    for _ in range(DIGIT_STEPS):
        rows = draw.integers(0, len(digits.images), 64)
        logits = model(to_ink(torch.from_numpy(digits.images[rows])))
        loss = functional.cross_entropy(logits, torch.from_numpy(digits.labels[rows].astype(np.int64)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    folder.mkdir()
    spec = export(model.eval(), prepared_digits, folder, params.export.model_copy(update={"variants": ("float",)}))
    write_bundle(folder, "digits", spec, PROVENANCE)


@pytest.fixture(scope="session")
def generation_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "generation_bundle", _write_generation) / "digit_generation"


def _write_generation(made: Path) -> None:
    import torch

    from components.families.generation.export.bundle import export
    from components.families.generation.export.prior import Prior
    from components.families.generation.training.networks import Shape
    from components.families.generation.training.vae import Vae

    params = params_of("digit_generation")
    torch.manual_seed(0)
    small: dict[str, Any] = {"widths": (8, 8), "latent_dim": 6, "max_epochs": 1}
    model = Vae(Shape(28, 1), params.train.model_copy(update=small)).eval()
    folder = made / "digit_generation"
    folder.mkdir()
    pictures = np.zeros((4, 28, 28, 1), np.uint8)
    prior = Prior(np.array([0.5, 0.5]), np.array([[-1.0] * 6, [1.0] * 6]), np.stack([np.eye(6)] * 2))
    spec = export(model, pictures, folder, params.export.model_copy(update={"variants": ("float",)}), prior)
    write_bundle(folder, "digit_generation", spec, PROVENANCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser

"""A music server with a small model that knows a few tunes by heart, and bundles for others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import pytest

from components.bundle import Bundle, BundleSpec, Evaluation, EvaluationReport, write_bundle
from components.labs.music.graphs import reading_graph, sampling_graph
from components.labs.music.graphs.weights import Weights
from components.params import Bound, Gate
from components.promotion import Promotion, decide
from tests.serving.servers import Server, serving

WEAKNESS = "It knows six tunes."

EASY = {"key": "G Major", "metre": "6/8", "type": "reel", "temperature": 0.5}
"""What the small model writes well."""


@pytest.fixture(scope="session")
def promoted_bundle(music_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle with the records that its evaluation, its gate and its promotion leave beside it."""
    folder = tmp_path_factory.mktemp("promoted") / "music"
    shutil.copytree(music_bundle, folder)
    bundle = Bundle.open(folder)
    evaluation = EvaluationReport.of(
        bundle, Evaluation(metrics={"bits_per_char": 1.3}, serve={"graph": "int8"}, weaknesses=(WEAKNESS,))
    )
    decision = decide(evaluation, None, Gate(metrics={"bits_per_char": Bound(max=1.425)}), date(2026, 1, 1))
    promotion = Promotion.of(decision, mlflow_run="1" * 32)
    records = {"evaluation": evaluation, "decision": decision, "promotion": promotion}
    for name, record in records.items():
        (folder / f"{name}.json").write_text(json.dumps(record.model_dump(mode="json")))
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

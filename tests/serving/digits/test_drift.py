"""Inverted digits are noticed over HTTP; held-out digits are not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.bundle import Bundle
from components.datasets.digits.reader import read_split
from components.families.classification.features import references
from components.families.classification.runtime import DigitModel, DistanceModel
from components.files import write_json
from components.records import Evaluation
from tests.serving.hostile import saved
from tests.serving.servers import Server, serving

WINDOW = 200


@pytest.fixture(scope="module")
def validation(prepared_digits: Path) -> np.ndarray:
    """In no order. MNIST's test digits are of other writers, one after another: they are not like validation digits."""
    images = read_split(prepared_digits, "validation").images
    return np.random.default_rng(0).permutation(images)


@pytest.fixture(scope="module")
def server(digits_bundle: Path, validation: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves a bundle with references: evaluate counts all validation digits but those that are sent."""
    folder = tmp_path_factory.mktemp("evaluated") / "digits"
    shutil.copytree(digits_bundle, folder)
    bundle = Bundle.open(folder)
    images = validation[2 * WINDOW :]
    distance = DistanceModel.load(bundle)
    assert distance is not None
    probabilities = DigitModel.load(bundle).probabilities(images).max(axis=1)
    counted = references(images, probabilities, distance.distances(images))
    report = bundle.report(Evaluation(metrics={"accuracy": 0.9}, drift_references=counted))
    write_json(folder / "evaluation.json", report.model_dump(mode="json"))
    options = ("--allow-unpromoted",)
    with serving("digits", folder, tmp_path_factory.mktemp("drift"), *options, drift_window=WINDOW) as running:
        yield running


def read(server: Server, images: np.ndarray) -> dict[str, str]:
    """The verdict on each feature once these have been read."""
    for image in images:
        assert server.client.post("/read", json={"image": image.tolist()}).status_code == 200
    found: dict[str, Any] = server.client.get("/drift").json()["features"]
    return {name: feature["verdict"] for name, feature in found.items()}


def test_inverted_digits_drift_and_held_out_ones_do_not(server: Server, validation: np.ndarray) -> None:
    usual = {"ink": "usual", "probability": "usual", "distance": "usual", "picture_side": "not compared"}
    assert read(server, validation[:WINDOW]) == usual
    inverted = read(server, 255 - validation[:WINDOW])
    assert inverted["ink"] == inverted["distance"] == inverted["probability"] == "drifted"
    assert read(server, validation[WINDOW : 2 * WINDOW]) == usual


def test_a_picture_counts_by_its_first_digit(server: Server, validation: np.ndarray) -> None:
    def waiting() -> list[int]:
        found = server.client.get("/drift").json()["features"]
        return [found[name]["waiting"] for name in ("ink", "picture_side")]

    before = waiting()
    paper = np.concatenate([np.pad(255 - image, 4, constant_values=255) for image in validation[:2]], axis=1)
    picture = Image.fromarray(paper).resize((360, 180))
    answer = server.client.post("/read", content=saved(picture, "PNG"))
    assert len(answer.json()["digits"]) == 2
    assert waiting() == [count + 1 for count in before]

"""A candidate beside the digits API, over HTTP: what is counted is what both models say of the same digits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from playwright.sync_api import Browser, expect

from components.bundle import Bundle, BundleSpec, write_bundle
from components.datasets.digits.reader import Split, read_split
from components.families.classification.runtime import SIZE, DigitModel
from tests.components.bundles import PROVENANCE, model
from tests.serving.browsing import Visitor, needs_browser, resize, visitors
from tests.serving.hostile import saved
from tests.serving.servers import Server, serving
from tests.serving.shadowing import candidate_looks, compared, outcomes

WINDOW = 20
FEW = 30
"""Digits that the candidate has seen: it often reads something else than a model that has seen all."""
SHARPNESS = 10.0


def nearest_mean(folder: Path, digits: Split) -> Path:
    """A bundle that reads the digit whose mean picture is nearest: logits are negative squared distances, shifted."""
    pixels = digits.images.reshape(len(digits.images), -1) / 255
    means = np.stack([pixels[digits.labels == digit].mean(axis=0) for digit in range(10)])
    tensors = {
        "weights": (SHARPNESS / 255 * 2 * means.T / SIZE).astype(np.float32),
        "bias": (-SHARPNESS * (means**2).sum(axis=1) / SIZE).astype(np.float32),
    }
    nodes = [
        helper.make_node("Flatten", ["images"], ["rows"]),
        helper.make_node("Cast", ["rows"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Gemm", ["numbers", "weights", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "nearest_mean",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()],
    )
    folder.mkdir(parents=True)
    onnx.save(model(graph), folder / "float.onnx")
    (folder / "parity.json").write_text('{"float": 0.0}')
    spec: dict[str, Any] = {"size": SIZE, "variants": ["float"]}
    write_bundle(folder, "digits", BundleSpec({"float": folder / "float.onnx"}, spec), PROVENANCE)
    return folder


@pytest.fixture(scope="module")
def bundles(prepared_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The served model and the candidate."""
    folder = tmp_path_factory.mktemp("bundles")
    digits = read_split(prepared_digits, "train")
    few = np.concatenate([np.flatnonzero(digits.labels == digit)[: FEW // 10] for digit in range(10)])
    return (
        nearest_mean(folder / "served", digits),
        nearest_mean(folder / "candidate", Split(digits.images[few], digits.labels[few])),
    )


@pytest.fixture(scope="module")
def server(bundles: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    served, candidate = bundles
    options = ("--allow-unpromoted", "--shadow", str(candidate))
    folder = tmp_path_factory.mktemp("shadow")
    with serving("digits", served, folder, *options, shadow_every=1, shadow_window=WINDOW) as running:
        yield running


def read(server: Server, images: np.ndarray) -> list[dict[str, Any]]:
    """The answers; each request is sent when the candidate has done the one before."""
    answers = []
    for image in images:
        with candidate_looks(server, "/read"):
            answer = server.client.post("/read", json={"image": image.tolist()})
        assert answer.status_code == 200
        answers.append(answer.json())
    return answers


def test_agreement_is_that_of_both_models_and_answers_are_the_served_models_own(
    server: Server, bundles: tuple[Path, Path], test_digits: Split
) -> None:
    images = test_digits.images[: 2 * WINDOW]
    answers = read(server, images)
    opened = [Bundle.open(folder) for folder in bundles]
    served, other = (DigitModel.load(bundle).probabilities(images) for bundle in opened)
    assert np.allclose([answer["probabilities"] for answer in answers], served, atol=1e-6)
    assert {answer["model"]["model_digest"] for answer in answers} == {opened[0].digest}
    agreed = int((served.argmax(1) == other.argmax(1)).sum())
    assert 0 < agreed < len(images), "else the test could not tell"

    found = server.client.get("/shadow").json()
    assert [found[name]["model_digest"] for name in ("model", "candidate")] == [bundle.digest for bundle in opened]
    route = found["routes"]["/read"]
    assert (route["compared"], route["agreed"], route["errors"], route["dropped"]) == (2 * WINDOW, agreed, 0, 0)
    assert route["mean_distance"] == pytest.approx(float(np.abs(served - other).sum(1).mean() / 2), abs=1e-5)
    assert outcomes(server, "/read") == {"agreed": agreed, "disagreed": len(images) - agreed, "error": 0, "dropped": 0}


def test_a_picture_is_shown_too(server: Server, test_digits: Split) -> None:
    paper = np.concatenate([np.pad(255 - image, 4, constant_values=255) for image in test_digits.images[:2]], axis=1)
    picture = Image.fromarray(paper).resize((360, 180))
    with candidate_looks(server, "/read"):
        assert len(server.client.post("/read", content=saved(picture, "PNG")).json()["digits"]) == 2
    assert compared(server, "/read")["errors"] == 0


@needs_browser
def test_the_page_shows_the_comparison(server: Server, browser: Browser, test_digits: Split) -> None:
    read(server, test_digits.images[:WINDOW])
    with visitors(browser, server, Visitor) as visit:
        visitor: Visitor = visit()
        page = visitor.open("shadow")
        card = page.get_by_role("article", name="/read")
        expect(card).to_contain_text("% agree:")
        expect(card.get_by_role("row", name="mean time of the candidate")).to_be_visible()
        for width in (1100, 820, 360):
            resize(page, width)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_role("link", name="Back to the model").click()
        expect(page.get_by_role("heading", level=1)).not_to_contain_text("candidate")
        assert visitor.complaints == []

"""The digits API over HTTP: a drawing is framed as MNIST is, and read as evaluation reads."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from components.bundle import Bundle, BundleSpec, write_bundle
from components.datasets.digits.reader import Split
from components.families.classification.runtime import BOX, SIZE, DigitModel
from components.families.classification.runtime.outlier_pictures import TEST, kinds
from serving.core.problems import RefusalError
from serving.digits.openapi import STROKE
from serving.digits.preprocess import framed
from tests.serving.hostile import ANSWERED, GREY, REFUSED, THE_SAME, saved
from tests.serving.servers import PROJECT, Server, command, serving

BLANK = ("one pixel", "one pixel, jpeg", "a thread", "25 million pixels with alpha")
"""Odd pictures without anything on them."""


def on_paper(digit: np.ndarray, side: int, place: tuple[int, int]) -> Image.Image:
    """A digit (28, 28) of ink, drawn large somewhere on white paper."""
    paper = Image.new("RGB", (300, 400), "white")
    paper.paste(Image.fromarray(255 - digit).resize((side, side), Image.Resampling.BICUBIC), place)
    return paper


def cut_out(picture: Image.Image) -> np.ndarray:
    """The only digit on a picture, framed."""
    (cut,) = framed(picture, paper=0.2, most=32)
    return cut.image


@pytest.fixture(scope="module")
def seven(test_digits: Split) -> Image.Image:
    return on_paper(test_digits.images[np.flatnonzero(test_digits.labels == 7)[0]], 224, (30, 100))


def read(server: Server, content: bytes) -> dict[str, Any]:
    answer = server.client.post("/read", content=content, headers={"content-type": "image/png"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_numbers_are_read_as_evaluation_reads_them(
    digits_server: Server, digits_bundle: Path, test_digits: Split
) -> None:
    expected = DigitModel.load(Bundle.open(digits_bundle)).probabilities(test_digits.images[:20])
    for image, probabilities in zip(test_digits.images[:20], expected, strict=True):
        answer = digits_server.client.post("/read", json={"image": image.tolist()}).json()
        assert np.allclose(answer["probabilities"], probabilities, atol=1e-5)
        assert answer["digit"] == probabilities.argmax()
        assert answer["image"] == image.tolist()


def test_it_abstains_from_what_is_no_digit_and_seldom_from_digits(digits_server: Server, test_digits: Split) -> None:
    def abstains(image: np.ndarray) -> bool:
        answer = digits_server.client.post("/read", json={"image": image.tolist()}).json()
        assert 0 <= answer["distance"] <= 1
        return bool(answer["abstain"])

    others = kinds(test_digits.images, TEST, 20, seed=1)
    refused = {kind: np.mean([abstains(image) for image in images]) for kind, images in others.items()}
    assert min(refused[kind] for kind in ("noise", "inverted", "faces", "two digits")) >= 0.9
    assert refused["rotated"] > 0.5
    assert refused["letters"] > 0, "few, with as few training digits as this bundle's"
    assert np.mean([abstains(image) for image in test_digits.images[:50]]) <= 0.1


@pytest.mark.parametrize(("side", "place"), [(224, (60, 90)), (140, (150, 20)), (84, (5, 300))])
def test_a_drawing_is_read_wherever_and_however_large_it_is(
    digits_server: Server, digits_bundle: Path, test_digits: Split, side: int, place: tuple[int, int]
) -> None:
    images, labels = test_digits.images[:30], test_digits.labels[:30]
    drawn = [read(digits_server, saved(on_paper(image, side, place), "PNG"))["digit"] for image in images]
    plain = DigitModel.load(Bundle.open(digits_bundle)).logits(images).argmax(axis=1)
    assert np.mean(plain == labels) > 0.8
    assert np.mean(np.array(drawn) == plain) >= 0.8


def test_a_drawing_gets_the_frame_of_mnist(test_digits: Split) -> None:
    """MNIST's own pictures, drawn large elsewhere, come back where they were."""
    alike = []
    for image in test_digits.images[:40]:
        found = cut_out(on_paper(image, 8 * SIZE, (40, 100)))
        rows, columns = np.nonzero(found)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 <= BOX
        mass = found / found.sum()
        assert abs((mass.sum(axis=1) * np.arange(SIZE)).sum() - SIZE / 2) <= 0.5
        assert abs((mass.sum(axis=0) * np.arange(SIZE)).sum() - SIZE / 2) <= 0.5
        alike.append(np.corrcoef(found.ravel(), image.ravel())[0, 1])
    assert np.mean(alike) > 0.9


def test_light_on_dark_is_the_same_drawing(seven: Image.Image) -> None:
    inverted = Image.fromarray(255 - np.asarray(seven))
    assert (cut_out(inverted) == cut_out(seven)).all()


def test_an_empty_drawing_is_refused() -> None:
    with pytest.raises(RefusalError, match="nothing on the paper"):
        framed(Image.new("RGB", (200, 200), (240, 240, 230)), 0.2, 32)


def test_a_digit_that_is_cut_out_closely_is_the_same_drawing(test_digits: Split) -> None:
    alike = []
    for digit in test_digits.images[:40]:
        rows, columns = np.flatnonzero(digit.any(axis=1)), np.flatnonzero(digit.any(axis=0))
        close = Image.fromarray(255 - digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        found = cut_out(close.resize((close.width * 8, close.height * 8), Image.Resampling.BICUBIC))
        alike.append(np.corrcoef(found.ravel(), digit.ravel())[0, 1])
    assert np.mean(alike) > 0.85


@pytest.mark.parametrize("ink", [0, 255])
def test_numbers_without_a_mark_are_refused_as_an_empty_drawing_is(digits_server: Server, ink: int) -> None:
    answer = digits_server.client.post("/read", json={"image": [[ink] * SIZE] * SIZE})
    assert answer.status_code == 422
    assert "nothing on the paper" in answer.json()["detail"]


def from_the_left(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.asarray(1 - 0.7 * columns)


def from_a_corner(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.asarray(1 - 0.35 * (rows + columns))


def in_the_middle(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.asarray(1 - 1.4 * ((rows - 0.5) ** 2 + (columns - 0.5) ** 2))


@pytest.mark.parametrize("light", [from_the_left, from_a_corner, in_the_middle])
def test_light_that_falls_off_over_the_paper_is_no_ink(
    test_digits: Split, light: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> None:
    """Where it is weakest, the paper is darker than half of what it is where it is strongest."""
    rows, columns = np.meshgrid(np.linspace(0, 1, 400), np.linspace(0, 1, 300), indexing="ij")
    alike = []
    for digit in test_digits.images[:20]:
        drawing = on_paper(digit, 224, (30, 100))
        photograph = np.asarray(drawing.convert("L")) * light(rows, columns)
        photograph += np.random.default_rng(0).normal(0, 3, photograph.shape)
        found = cut_out(Image.fromarray(photograph.clip(0, 255).astype(np.uint8)))
        alike.append(np.corrcoef(found.ravel(), cut_out(drawing).ravel())[0, 1])
    assert np.mean(alike) > 0.8


@pytest.mark.parametrize("name", [*THE_SAME, *GREY])
def test_a_drawing_is_the_same_however_it_is_written(digits_server: Server, seven: Image.Image, name: str) -> None:
    plain = read(digits_server, saved(seven, "PNG"))
    found = read(digits_server, (THE_SAME | GREY)[name](seven))
    assert np.abs(np.subtract(found["probabilities"], plain["probabilities"])).max() < 0.35
    assert np.corrcoef(np.ravel(found["image"]), np.ravel(plain["image"]))[0, 1] > 0.9


@pytest.mark.parametrize("name", ANSWERED)
def test_an_odd_picture_is_read_or_said_to_be_empty(digits_server: Server, seven: Image.Image, name: str) -> None:
    answer = digits_server.client.post("/read", content=ANSWERED[name](seven))
    assert answer.status_code == (422 if name in BLANK else 200)
    if name in BLANK:
        assert "nothing on the paper" in answer.json()["detail"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused_with_a_reason(digits_server: Server, seven: Image.Image, name: str) -> None:
    status, make = REFUSED[name]
    answer = digits_server.client.post("/read", content=make(seven), headers={"content-type": "image/jpeg"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ("{", 400, None),
        ("[" * 5000, 400, None),
        ('{"image": []}', 422, "image"),
        (json.dumps({"image": STROKE[:27]}), 422, "image"),
        (json.dumps({"image": [[0] * 27] * 28}), 422, "image.0"),
        (json.dumps({"image": [[256] * 28] * 28}), 422, "image.0.0"),
        (json.dumps({"image": [["0"] * 28] * 28}), 422, "image.0.0"),
        (json.dumps({"image": STROKE, "url": "http://127.0.0.1/"}), 422, "url"),
    ],
)
def test_wrong_numbers_are_named(digits_server: Server, body: str, status: int, field: str | None) -> None:
    answer = digits_server.client.post("/read", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert not field or answer.json()["errors"][0]["field"] == field


def test_every_answer_says_which_model_gave_it(digits_server: Server, digits_bundle: Path, seven: Image.Image) -> None:
    digest = Bundle.open(digits_bundle).digest
    answers: list[httpx.Response] = [digits_server.client.get(path) for path in ("/livez", "/readyz", "/info", "/")]
    answers.append(digits_server.client.post("/read", content=saved(seven, "PNG")))
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["x-model-digest"] == digest
        assert answer.headers["x-promoted"] == "false"
    assert answers[-1].json()["model"]["model_digest"] == digest


def test_a_bundle_of_mlp_is_served_too_and_one_of_music_is_not(
    digits_bundle: Path, music_like: Path, mlp_like: Path, tmp_path: Path
) -> None:
    with serving("mlp", mlp_like, tmp_path, "--allow-unpromoted") as server:
        answer = server.client.post("/read", json={"image": STROKE})
        assert answer.status_code == 200
        assert answer.json()["abstain"] is None, "its bundle has no graph of distances"
    arguments = command("digits", music_like, 0, "--allow-unpromoted")
    done = subprocess.run(arguments, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is a bundle of the lab music; this serves digits and mlp" in done.stderr


@pytest.fixture
def mlp_like(digits_bundle: Path, tmp_path: Path) -> Path:
    return _as_lab("mlp", digits_bundle, tmp_path / "mlp")


@pytest.fixture
def music_like(digits_bundle: Path, tmp_path: Path) -> Path:
    return _as_lab("music", digits_bundle, tmp_path / "music")


def _as_lab(lab: str, source: Path, folder: Path) -> Path:
    """The same graph as another lab's."""
    bundle = Bundle.open(source)
    folder.mkdir()
    (folder / "float.onnx").write_bytes((source / "float.onnx").read_bytes())
    write_bundle(folder, lab, BundleSpec({"float": folder / "float.onnx"}, bundle.spec), bundle.manifest.provenance)
    return folder

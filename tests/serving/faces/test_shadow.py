"""A candidate beside the faces API, over HTTP: what is counted is what both models say of the same pictures."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, expect

from components.bundle import Bundle
from components.datasets.faces.reader import read_split
from components.files import read_json
from components.labs.faces.params import Train
from components.labs.faces.runtime.model import FaceModel
from components.labs.faces.training.batches import FaceData
from components.labs.faces.training.model import FaceClassifier
from serving.core.shadow import Difference
from serving.faces.comparison import classifications, detections
from serving.faces.detector import Detector
from serving.faces.schemas import Classification, Detection, Face
from tests.components import bundles
from tests.face_model import bundle_of, fitted
from tests.serving.browsing import Visitor, needs_browser, resize, visitors
from tests.serving.hostile import saved
from tests.serving.servers import PROJECT, Server, command, params_of, serving
from tests.serving.shadowing import candidate_looks, compared, outcomes

WINDOW = 20
ROUTES = ("/classify", "/detect")


@pytest.fixture(scope="module")
def candidate(prepared_faces: Path, train_params: Train, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A narrower model of the same pictures: it often finds something else."""
    torch.manual_seed(1)
    narrow = train_params.model_copy(update={"widths": (8, 12, 16), "hidden_size": 16})
    model = fitted(FaceClassifier(narrow), FaceData(prepared_faces, narrow))
    return bundle_of(model, prepared_faces, tmp_path_factory.mktemp("candidate"))


@pytest.fixture(scope="module")
def server(promoted_faces: Path, candidate: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, shadow = tmp_path_factory.mktemp("shadow"), str(candidate.folder)
    options = ("--shadow", shadow)
    with serving("faces", promoted_faces, folder, *options, shadow_every=1, shadow_window=WINDOW) as running:
        yield running


@pytest.fixture(scope="module")
def detectors(promoted_faces: Path, candidate: Bundle) -> tuple[Detector, Detector]:
    """The served model and the candidate, as the server makes them."""
    params, chosen = params_of("faces"), read_json(promoted_faces / "evaluation.json")["serve"]
    models: tuple[tuple[FaceModel, dict[str, Any]], ...] = (
        (FaceModel.load(Bundle.open(promoted_faces), chosen["variant"]), chosen),
        (FaceModel.load(candidate, candidate.spec["variants"][0]), {}),
    )
    served, other = (Detector(model, serve, params.evaluate.detection, params.serve) for model, serve in models)
    return served, other


@pytest.fixture(scope="module")
def crops(prepared_faces: Path) -> list[bytes]:
    """Faces and crops of photographs without people, which neither model has learned from."""
    split = read_split(prepared_faces, "audit")
    rows = [*np.flatnonzero(split.is_face)[:WINDOW], *np.flatnonzero(~split.is_face)[:WINDOW]]
    return [saved(Image.fromarray(split.images[row]), "PNG") for row in rows]


def asked(server: Server, route: str, pictures: list[bytes]) -> list[dict[str, Any]]:
    """The answers; each request is sent when the candidate has done the one before."""
    answers = []
    for picture in pictures:
        with candidate_looks(server, route):
            answer = server.client.post(route, content=picture)
        assert answer.status_code == 200
        answers.append(answer.json())
    return answers


def classified(detector: Detector, picture: bytes) -> Classification:
    return detector.classify(detector.open(picture))[0]


def detected(detector: Detector, picture: bytes) -> Detection:
    return detector.detect(detector.open(picture))


@pytest.mark.parametrize(
    ("route", "look", "compare"), [("/classify", classified, classifications), ("/detect", detected, detections)]
)
def test_agreement_is_that_of_both_models_and_answers_are_as_without_a_candidate(
    route: str,
    look: Callable[[Detector, bytes], Any],
    compare: Callable[[Any, Any], Difference],
    server: Server,
    faces_server: Server,
    detectors: tuple[Detector, Detector],
    crops: list[bytes],
) -> None:
    answers = asked(server, route, crops)
    assert answers == [faces_server.client.post(route, content=crop).json() for crop in crops]
    differences = [compare(*(look(detector, crop) for detector in detectors)) for crop in crops]
    agreed = sum(difference.agree for difference in differences)
    disagreed = len(crops) - agreed
    assert agreed, "else the test could not tell"
    assert disagreed, "else the test could not tell"
    found = compared(server, route)
    assert (found["compared"], found["agreed"], found["errors"], found["dropped"]) == (len(crops), agreed, 0, 0)
    mean = sum(difference.distance for difference in differences) / len(differences)
    assert found["mean_distance"] == pytest.approx(mean, abs=1e-5)
    assert found["mean_candidate_seconds"] > 0
    assert outcomes(server, route) == {"agreed": agreed, "disagreed": disagreed, "error": 0, "dropped": 0}


def test_both_models_are_named(server: Server, promoted_faces: Path, candidate: Bundle) -> None:
    shown = server.client.get("/shadow").json()
    assert shown["candidate"]["model_digest"] == candidate.digest
    assert shown["model"]["model_digest"] == Bundle.open(promoted_faces).digest
    assert (shown["model"]["promoted"], shown["candidate"]["promoted"]) == (True, False)


def test_pictures_of_a_batch_and_refused_ones_are_not_shown(server: Server, crops: list[bytes]) -> None:
    def seen() -> dict[str, Any]:
        found: dict[str, Any] = server.client.get("/shadow").json()["routes"]
        return found

    before = seen()
    assert tuple(before) == ROUTES
    files = [("file", ("face.png", crop)) for crop in crops[:5]]
    for route in ROUTES:
        assert server.client.post(f"{route}/batch", files=files).status_code == 200
        assert server.client.post(route, content=b"no picture").status_code == 415
    assert seen() == before


def test_the_bundle_of_another_lab_is_refused_in_one_line(tmp_path: Path, promoted_faces: Path) -> None:
    bundles.write(tmp_path / "music")
    start = command("faces", promoted_faces, 0, "--shadow", str(tmp_path / "music"))
    done = subprocess.run(start, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "is a bundle of the lab music; this serves faces" in line


@needs_browser
def test_the_page_shows_both_routes(server: Server, browser: Browser, crops: list[bytes]) -> None:
    asked(server, "/classify", crops[:WINDOW])
    with visitors(browser, server, Visitor) as visit:
        visitor: Visitor = visit()
        page = visitor.open("shadow")
        expect(page.get_by_role("article", name="/classify")).to_contain_text("% agree:")
        expect(page.get_by_role("article", name="/detect")).to_contain_text("panoptic quality")
        for width in (1100, 820, 360):
            resize(page, width)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert visitor.complaints == []


def boxes(*corners: tuple[float, float, float, float]) -> Detection:
    faces = [Face(left=left, top=top, right=right, bottom=bottom, score=0.9) for left, top, right, bottom in corners]
    return Detection(faces=faces, width=100, height=100)


FACE, AWAY = (0.0, 0.0, 20.0, 20.0), (50.0, 50.0, 70.0, 70.0)
HALF = (0.0, 0.0, 20.0, 10.0)
"""Half of FACE: their intersection over union is 0.5, the least that matches."""
LESS = (0.0, 0.0, 20.0, 9.0)


@pytest.mark.parametrize(
    ("one", "other", "agree", "distance"),
    [
        (boxes(), boxes(), True, 0.0),
        (boxes(FACE), boxes(FACE), True, 0.0),
        (boxes(FACE, AWAY), boxes(AWAY, FACE), True, 0.0),
        (boxes(FACE), boxes(HALF), True, 0.5),
        (boxes(FACE), boxes(LESS), False, 1.0),
        (boxes(FACE), boxes(), False, 1.0),
        (boxes(), boxes(FACE), False, 1.0),
        (boxes(FACE, AWAY), boxes(FACE), False, 1 / 3),
        # A box matches once, and the closest goes first whatever the order.
        (boxes(FACE), boxes(HALF, FACE), False, 1 / 3),
        (boxes(HALF, FACE), boxes(FACE, FACE), True, 0.25),
    ],
)
def test_boxes_agree_where_each_has_its_match(one: Detection, other: Detection, agree: bool, distance: float) -> None:
    for pair in ((one, other), (other, one)):
        found = detections(*pair)
        assert found.agree == agree
        assert found.distance == pytest.approx(distance)

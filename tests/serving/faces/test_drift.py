"""Pictures that are darker or less sharp than those that were measured are noticed over HTTP; held-out ones are not."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFilter
from playwright.sync_api import Browser, expect

from components.files import read_json, write_json
from components.sources.archive import read_tar
from tests.face_data import RAW
from tests.serving.browsing import Visitor, needs_browser, resize, visitors
from tests.serving.hostile import jpeg
from tests.serving.servers import Server, serving

WINDOW = 100
FIRST = 1000
"""Those before are in the prepared splits."""


@pytest.fixture(scope="module")
def faces(prepared_faces: Path) -> list[Image.Image]:
    """Real faces that neither the model nor its evaluation has seen. (The fixture asked for skips without data.)"""
    found = islice(read_tar(RAW / "fairface" / "fairface_train_10k.tar"), FIRST, FIRST + WINDOW)
    return [Image.open(io.BytesIO(content)).convert("RGB") for _, content in found]


@pytest.fixture(scope="module")
def server(promoted_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving("faces", promoted_faces, tmp_path_factory.mktemp("drift"), drift_window=WINDOW) as running:
        yield running


def classify(server: Server, pictures: list[Image.Image]) -> dict[str, Any]:
    """What /drift says of the features once these have been classified."""
    for picture in pictures:
        assert server.client.post("/classify", content=jpeg(picture)).status_code == 200
    found: dict[str, Any] = server.client.get("/drift").json()["features"]
    return found


def verdicts(features: dict[str, Any]) -> dict[str, str]:
    return {name: feature["verdict"] for name, feature in features.items()}


def test_dark_and_blurred_faces_drift_and_held_out_ones_do_not(server: Server, faces: list[Image.Image]) -> None:
    usual = classify(server, faces)
    assert verdicts(usual) == {
        "brightness": "usual",
        "sharpness": "usual",
        "score": "usual",
        "picture_side": "not compared",
    }
    assert sum(usual["picture_side"]["requests"]) == WINDOW
    dark = classify(server, [face.point(lambda level: level // 3) for face in faces])
    assert dark["brightness"]["verdict"] == "drifted"
    blurred = classify(server, [face.filter(ImageFilter.GaussianBlur(5)) for face in faces])
    assert blurred["sharpness"]["verdict"] == "drifted"
    assert blurred["brightness"]["verdict"] == "usual"
    again = classify(server, faces)
    assert set(verdicts(again).values()) == {"usual", "not compared"}
    assert again["brightness"]["windows"] == 4
    assert server.metric('drift_windows_total{feature="brightness",verdict="drifted"}') == 1
    assert server.metric('drift_windows_total{feature="sharpness",verdict="drifted"}') >= 1
    assert server.metric('drift_distance{feature="score"}') < server.metric('drift_threshold{feature="score"}')
    assert '"message": "requests have drifted"' in server.log()


def test_pictures_of_a_batch_count_like_others_and_refused_ones_do_not(
    server: Server, faces: list[Image.Image]
) -> None:
    def waiting() -> int:
        found: int = server.client.get("/drift").json()["features"]["score"]["waiting"]
        return found

    before = waiting()
    files = [("file", ("face.jpg", jpeg(face))) for face in faces[:5]]
    assert server.client.post("/classify/batch", files=files).status_code == 200
    assert server.client.post("/classify", content=b"no picture").status_code == 415
    assert waiting() == before + 5


@needs_browser
def test_the_page_shows_each_feature(browser: Browser, server: Server, faces: list[Image.Image]) -> None:
    classify(server, [face.point(lambda level: level // 3) for face in faces])
    with visitors(browser, server, Visitor) as visit:
        visitor: Visitor = visit()
        page = visitor.open()
        page.get_by_role("link", name="Are requests like the data").click()
        brightness = page.get_by_role("article", name="Brightness")
        expect(brightness).to_contain_text("Drifted:")
        expect(brightness.get_by_role("progressbar").first).to_be_visible()
        expect(page.get_by_role("article", name="Picture side")).to_contain_text("not compared")
        for width in (1100, 820, 360):
            resize(page, width)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert page.evaluate("[...document.querySelectorAll('article')].every(a => a.scrollWidth <= a.clientWidth)")
        page.get_by_role("link", name="Back to the model").click()
        expect(page.get_by_role("heading", level=1)).not_to_contain_text("Are requests")
        assert visitor.complaints == []


def test_an_older_bundle_is_served_and_says_that_it_has_no_reference(
    promoted_faces: Path, tmp_path: Path, faces: list[Image.Image]
) -> None:
    """Its evaluation.json is as it was before references were counted."""
    older = tmp_path / "older"
    shutil.copytree(promoted_faces, older)
    evaluation = read_json(older / "evaluation.json")
    del evaluation["drift_references"]
    write_json(older / "evaluation.json", evaluation)
    with serving("faces", older, tmp_path, "--allow-unpromoted") as server:
        assert server.client.post("/classify", content=jpeg(faces[0])).status_code == 200
        answer = server.client.get("/drift")
        assert answer.status_code == 404
        assert "nothing to compare requests with" in answer.json()["detail"]
        assert "drift_distance" not in server.client.get("/metrics").text

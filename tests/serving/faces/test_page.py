"""The faces page in a real browser: a photograph goes in, boxes come out, and the audit stands beside them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from components.datasets.faces.reader import read_split
from components.labs.faces.evaluation.scenes import compose
from tests.serving.browsing import Visitor, limited, needs_browser, resize, visitors
from tests.serving.conftest import FACES_LIMITATION
from tests.serving.hostile import THE_SAME, heic, jpeg
from tests.serving.servers import Server

pytestmark = needs_browser
DROP = """([bytes, type]) => {
  const transfer = new DataTransfer()
  transfer.items.add(new File([new Uint8Array(bytes)], 'photo.jpg', { type }))
  document.getElementById('drop').dispatchEvent(new DragEvent('drop', { bubbles: true, dataTransfer: transfer }))
}"""


@pytest.fixture
def visit(browser: Browser, faces_server: Server) -> Iterator[Callable[..., Visitor]]:
    with visitors(browser, faces_server, Visitor) as visit:
        yield visit


@pytest.fixture(scope="module")
def scene(prepared_faces: Path) -> Image.Image:
    return Image.fromarray(compose(read_split(prepared_faces, "audit"), 3, seed=3, smallest=64)[2].photograph)


def choose(page: Page, content: bytes) -> None:
    page.locator("#file").set_input_files({"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": content})


def colour(page: Page, x: float, y: float) -> list[int]:
    """Colour of a pixel of the canvas: red, green, blue."""
    found: list[int] = page.locator("#canvas").evaluate(
        "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3)", [x, y]
    )
    return found


def test_a_photograph_is_looked_at_and_boxes_are_drawn_on_it(
    visit: Callable[..., Visitor], faces_server: Server, scene: Image.Image
) -> None:
    visitor = visit()
    page = visitor.open()
    expect(page.locator("#verdict")).to_have_text("✓ Passed")
    choose(page, jpeg(scene))
    found = faces_server.client.post("/detect", content=jpeg(scene)).json()["faces"]
    expect(page.locator("#faces li")).to_have_count(len(found))
    assert len(found) > 0
    size = page.locator("#canvas").evaluate("canvas => [canvas.width, canvas.height]")
    assert size == list(scene.size)
    red, green, _ = colour(page, (found[0]["left"] + found[0]["right"]) / 2, found[0]["bottom"])
    assert green > red + 60, "the box's lower edge"
    elsewhere = [url for url in visitor.requests if not url.startswith((visitor.address, f"blob:{visitor.address}"))]
    assert elsewhere == []
    assert visitor.complaints == []


def test_a_photograph_can_be_dropped_and_a_turned_one_is_shown_upright(
    visit: Callable[..., Visitor], scene: Image.Image
) -> None:
    visitor = visit()
    page = visitor.open()
    expect(page.locator("#verdict")).to_have_text("✓ Passed")
    turned = THE_SAME["exif, lying on its left side"](scene)
    page.evaluate(DROP, [list(turned), "image/jpeg"])
    expect(page.locator("#found")).to_have_text(re.compile("face"))
    assert page.locator("#canvas").evaluate("canvas => [canvas.width, canvas.height]") == list(scene.size)
    expected = scene.getpixel((scene.width - 5, 5))
    assert isinstance(expected, tuple)
    assert colour(page, scene.width - 5, 5) == pytest.approx(list(expected), abs=40)
    assert visitor.complaints == []


def test_the_audit_stands_beside_the_photograph(visit: Callable[..., Visitor], faces_server: Server) -> None:
    page = visit().open()
    audit = faces_server.client.get("/audit").json()
    worst = audit["worst_group"]
    expect(page.locator("#findings")).to_contain_text(f"faces perceived as {worst['name']}")
    expect(page.locator("#findings")).to_contain_text(f"{100 * audit['recall']:.1f} %")
    expect(page.locator("#findings")).to_contain_text(f"{100 * audit['false_positive_rate']:.1f} % of cut-outs without")
    expect(page.locator("#findings")).not_to_contain_text("not measured")
    expect(page.locator("#limitations li")).to_have_text([FACES_LIMITATION])
    page.get_by_role("link", name="The whole audit").click()
    expect(page.locator("body")).to_contain_text("PASS")
    assert page.title() == re.search("<title>(.*?)</title>", page.content())[1]  # type: ignore[index]


def test_a_photograph_larger_than_the_server_takes_is_made_smaller_first(
    visit: Callable[..., Visitor], scene: Image.Image
) -> None:
    visitor = visit()
    limited(visitor.page, max_pixels=100_000)
    page = visitor.open()
    with page.expect_request("**/detect") as sent:
        choose(page, jpeg(scene.resize((3000, 2250))))
    assert sent.value.headers["content-type"] == "image/jpeg"
    body = sent.value.post_data_buffer
    assert body is not None
    width, height = Image.open(io.BytesIO(body)).size
    assert 90_000 < width * height <= 100_000
    expect(page.locator("#found")).to_have_text(re.compile("face"))
    assert page.locator("#canvas").evaluate("canvas => canvas.width") == 2048, "shown as large as it is"
    assert visitor.complaints == []


def test_a_large_photograph_is_sent_small_and_faces_are_measured_in_its_own_pixels(
    visit: Callable[..., Visitor], scene: Image.Image
) -> None:
    visitor = visit()
    page = visitor.open()
    with page.expect_response("**/detect") as answered:
        choose(page, jpeg(scene.resize((4096, 3072))))
    answer = answered.value.json()
    assert (answer["width"], answer["height"]) == (2048, 1536), "what was sent"
    first = answer["faces"][0]
    wide = round(2 * (first["right"] - first["left"]))
    expect(page.locator("#faces li").first).to_contain_text(
        re.compile(rf", ({wide - 1}|{wide}|{wide + 1}) pixels wide")
    )
    assert visitor.complaints == []


def test_a_photograph_that_the_browser_cannot_show_is_looked_at_all_the_same(
    visit: Callable[..., Visitor], scene: Image.Image
) -> None:
    visitor = visit()
    page = visitor.open()
    choose(page, heic(scene))
    expect(page.locator("#found")).to_have_text(re.compile("face"))
    expect(page.locator("#blank")).to_be_visible()
    assert page.locator("#canvas").evaluate("canvas => [canvas.width, canvas.height]") == list(scene.size)
    choose(page, jpeg(scene))
    expect(page.locator("#blank")).to_be_hidden()
    assert visitor.complaints == []


def test_an_empty_file_is_not_sent(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    choose(page, b"")
    expect(page.get_by_role("alert")).to_have_text("There is nothing in this file.")
    assert visitor.asked("detect") == 0
    assert visitor.complaints == []


def test_what_is_no_photograph_is_refused_in_words(visit: Callable[..., Visitor]) -> None:
    page = visit().open()
    choose(page, b"no photograph")
    expect(page.get_by_role("alert")).to_contain_text("The server refused this: this is not a picture")
    expect(page.locator("#result")).to_be_hidden()


def test_an_unaudited_model_is_said_loudly(visit: Callable[..., Visitor]) -> None:
    visitor = visit()

    def unaudited(route: Route) -> None:
        answer: dict[str, Any] = route.fetch().json()
        answer["model"] |= {"promoted": False, "audit": "NONE"}
        route.fulfill(json=answer)

    visitor.page.route("**/info", unaudited)
    page = visitor.open()
    expect(page.get_by_role("region", name="Warnings")).to_contain_text("passed no gate")
    expect(page.get_by_role("region", name="Warnings")).to_contain_text("no audit of it")
    expect(page.locator("#verdict")).to_have_text("Not audited")
    expect(page.locator("#records")).to_be_hidden()


def test_a_waiver_and_what_failed_are_shown(visit: Callable[..., Visitor]) -> None:
    visitor = visit()

    def waived(route: Route) -> None:
        answer: dict[str, Any] = route.fetch().json()
        answer |= {"verdict": "WAIVED", "waived_until": "2027-01-31"}
        answer["requirements"][0] |= {"verdict": "FAIL", "reason": "<b>the gap</b> is too wide"}
        route.fulfill(json=answer)

    visitor.page.route("**/audit", waived)
    page = visitor.open()
    expect(page.locator("#standing")).to_contain_text("until 2027-01-31")
    expect(page.locator("#findings")).to_contain_text("<b>the gap</b> is too wide")


def test_nothing_runs_off_a_narrow_screen(visit: Callable[..., Visitor], scene: Image.Image) -> None:
    visitor = visit(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page = visitor.open()
    choose(page, jpeg(scene))
    expect(page.locator("#found")).to_have_text(re.compile("face"))
    for width in (360, 320, 768):
        resize(page, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert visitor.complaints == []


def test_every_file_of_the_page_keeps_other_scripts_out(faces_server: Server) -> None:
    for path in ("/", "/static/page.js", "/static/page.css", "/static/shared/server.js"):
        answer = faces_server.client.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe-inline" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|https?://", faces_server.client.get("/").text)
    assert json.loads(faces_server.client.get("/info").text)["model"]["promoted"]

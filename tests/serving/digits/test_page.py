"""The digits page in a real browser: a 1 is drawn, and the bars move."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from components.datasets.digits.reader import Split
from tests.serving.browsing import Visitor, limited, needs_browser, resize, visitors
from tests.serving.digits.test_api import on_paper
from tests.serving.hostile import saved
from tests.serving.servers import Server

pytestmark = needs_browser
ONE = [(0.52, 0.2), (0.5, 0.5), (0.48, 0.8)]


@pytest.fixture
def visit(browser: Browser, digits_server: Server) -> Iterator[Callable[..., Visitor]]:
    with visitors(browser, digits_server, Visitor) as visit:
        yield visit


def on_screen(page: Page, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Shares of the paper's sides as places in the window, once the warnings above have moved the paper down."""
    expect(page.get_by_role("region", name="Warnings")).to_be_visible()
    box = page.locator("#paper").bounding_box()
    assert box is not None
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]


def draw(page: Page, points: list[tuple[float, float]]) -> None:
    """With the mouse."""
    places = on_screen(page, points)
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def shares(page: Page) -> list[float]:
    """Shares of the whole drawing: what is shown while it is still read is of a part."""
    expect(page.locator("#bars")).not_to_have_attribute("aria-busy", "true")
    return shares_now(page)


def shares_now(page: Page) -> list[float]:
    found: list[float] = page.locator("#bars progress").evaluate_all("bars => bars.map(bar => bar.value)")
    return found


def test_a_one_is_drawn_and_the_bars_show_it(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    assert shares(page) == [0] * 10
    draw(page, ONE)
    read = shares(page)
    assert read[1] == max(read) > 0.3
    expect(page.locator("#digit")).to_have_text("1")
    expect(page.locator("#bars li.best")).to_have_text(re.compile("^1"))
    assert sum(read) == pytest.approx(1, abs=1e-3)
    ink = page.locator("#seen").evaluate("seen => seen.getContext('2d').getImageData(13, 14, 1, 1).data[0]")
    assert ink > 100, "what the network saw is shown"
    page.get_by_role("button", name="Start again").click()
    expect(page.locator("#digit")).to_have_text("?")
    assert shares(page) == [0] * 10
    elsewhere = [url for url in visitor.requests if not url.startswith(visitor.address)]
    assert elsewhere == []
    assert visitor.complaints == []


def test_a_finger_draws_too(visit: Callable[..., Visitor]) -> None:
    visitor = visit(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page = visitor.open()
    finger = page.context.new_cdp_session(page)
    points = [{"x": x, "y": y} for x, y in on_screen(page, ONE)]
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[:1]})
    for point in points[1:]:
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.locator("#digit")).to_have_text("1")
    assert page.evaluate("scrollY") == 0, "a finger on the paper does not scroll"
    for width in (360, 320, 768):
        resize(page, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert visitor.complaints == []


def test_a_dot_is_a_mark_and_is_read(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    draw(page, [(0.5, 0.5)])
    expect(page.locator("#digit")).to_have_text(re.compile(r"\d"))
    ink = page.locator("#paper").evaluate("paper => paper.getContext('2d').getImageData(224, 224, 1, 1).data[0]")
    assert ink == 0
    assert visitor.asked("read") == 1
    assert visitor.complaints == []


def test_what_is_no_digit_is_refused_until_a_digit_is_drawn(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    draw(page, [(0.1, 0.2), (0.3, 0.8), (0.5, 0.3), (0.7, 0.8), (0.9, 0.2)])
    draw(page, [(0.1, 0.5), (0.9, 0.5)])
    assert sum(shares(page)) == pytest.approx(1, abs=1e-3)
    expect(page.locator("#refusal")).to_contain_text("would rather not say")
    expect(page.locator("#digit")).to_have_text("?")
    page.get_by_role("button", name="Start again").click()
    expect(page.locator("#refusal")).to_be_hidden()
    draw(page, ONE)
    expect(page.locator("#digit")).to_have_text("1")
    expect(page.locator("#refusal")).to_be_hidden()
    assert visitor.complaints == []


def test_paper_of_one_colour_is_not_sent(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    for colour in ("black", "white"):
        page.locator("#paper").evaluate(
            """(paper, colour) => {
              const pen = paper.getContext('2d')
              pen.arc = () => {}  // the touch itself
              pen.fillStyle = colour
              pen.fillRect(0, 0, 448, 448)
            }""",
            colour,
        )
        draw(page, [(0.5, 0.5)])
        assert shares(page) == [0] * 10
    assert visitor.asked("read") == 0
    assert visitor.complaints == []


def test_an_empty_file_is_not_sent(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    choose(page, b"")
    expect(page.get_by_role("alert")).to_have_text("There is nothing in this file.")
    assert visitor.asked("read") == 0
    assert visitor.complaints == []


def test_a_picture_larger_than_the_server_takes_is_made_smaller_first(
    visit: Callable[..., Visitor], test_digits: Split
) -> None:
    visitor = visit()
    limited(visitor.page, max_pixels=40_000, body_bytes=6_000)
    page = visitor.open()
    with page.expect_request("**/read") as sent:
        choose(page, saved(on_paper(test_digits.images[0], 200, (20, 20)), "BMP"))
    body = sent.value.post_data_buffer
    assert body is not None
    assert len(body) <= 6_000
    width, height = Image.open(io.BytesIO(body)).size
    assert width * height <= 40_000
    expect(page.locator("#digit")).to_have_text(re.compile(r"\d"))
    choose(page, b"no picture" * 1000)
    expect(page.get_by_role("alert")).to_contain_text("more than the 6,000 bytes that the server takes")
    assert visitor.asked("read") == 1
    assert visitor.complaints == []


def choose(page: Page, content: bytes) -> None:
    page.locator("#file").set_input_files({"name": "digit.png", "mimeType": "image/png", "buffer": content})


def test_a_picture_of_a_digit_can_be_read_and_the_same_again(visit: Callable[..., Visitor], test_digits: Split) -> None:
    page = visit().open()
    content = saved(on_paper(test_digits.images[0], 200, (20, 20)), "PNG")
    chosen = page.locator("#file")
    for _ in range(2):
        with page.expect_file_chooser() as asked:
            chosen.click()
        assert chosen.input_value() == "", "a browser says nothing of a file that is chosen already"
        asked.value.set_files({"name": "digit.png", "mimeType": "image/png", "buffer": content})
        expect(page.locator("#digit")).to_have_text(re.compile(r"\d"))
        assert chosen.input_value().endswith("digit.png")
    page.get_by_role("button", name="Start again").click()
    expect(page.locator("#digit")).to_have_text("?")
    assert chosen.input_value() == ""


def test_refusals_and_an_unpromoted_model_are_said_in_words(visit: Callable[..., Visitor]) -> None:
    page = visit().open()
    expect(page.get_by_role("region", name="Warnings")).to_contain_text("passed no gate")
    choose(page, b"no picture")
    expect(page.get_by_role("alert")).to_contain_text("this is not a picture")
    assert page.locator("#digit").text_content() == "?"


def test_a_drawing_that_a_busy_server_refused_is_read_when_it_said(visit: Callable[..., Visitor]) -> None:
    page = visit().open()
    draw(page, ONE)
    expect(page.locator("#digit")).to_have_text("1")
    shares(page)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/read", hold)
    draw(page, ONE)
    while not held:
        page.wait_for_timeout(20)
    page.clock.install()
    held[0].fulfill(status=429, headers={"retry-after": "2"}, body="{}")
    expect(page.get_by_role("alert")).to_contain_text("Try again in 2 seconds.")
    assert page.locator("#digit").text_content() == "?", "an old answer is not the answer to this drawing"
    assert shares_now(page) == [0] * 10
    page.unroute("**/read")
    page.clock.run_for(2000)
    expect(page.locator("#digit")).to_have_text("1")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_several_digits_are_shown_with_their_boxes_and_one_is_chosen(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    for left in (0.2, 0.5, 0.8):
        draw(page, [(left + 0.01, 0.3), (left, 0.5), (left - 0.01, 0.7)])
    found = page.get_by_role("list", name="The digits that were found").get_by_role("button")
    expect(found).to_have_count(3)
    expect(page.locator("#digit")).to_have_text(re.compile("^.{3}$"))
    expect(page.locator("#bars")).to_have_attribute("aria-busy", "false")  # every stroke was read
    found.nth(2).click()
    expect(found.nth(2)).to_have_attribute("aria-pressed", "true")
    expect(found.nth(0)).to_have_attribute("aria-pressed", "false")
    framed = "boxes => boxes.getContext('2d').getImageData(0, 0, 448, 448).data.some(value => value)"
    assert page.locator("#boxes").evaluate(framed)
    page.get_by_role("button", name="Start again").click()
    expect(found).to_have_count(0)
    assert not page.locator("#boxes").evaluate(framed)
    assert visitor.complaints == []

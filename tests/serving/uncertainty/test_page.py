"""The uncertainty page in a real browser: sliders move, and the bands with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.serving.browsing import Visitor, needs_browser, visitors
from tests.serving.servers import Server

pytestmark = needs_browser


@pytest.fixture
def visit(browser: Browser, uncertainty_server: Server) -> Iterator[Callable[..., Visitor]]:
    with visitors(browser, uncertainty_server, Visitor) as visit:
        yield visit


def slide(page: Page, name: str, value: float) -> None:
    page.locator(f"#sliders input[name={name}]").evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')) }", value
    )


def test_sliders_move_the_prediction_and_its_bands(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    expect(page.locator("#mean")).to_contain_text("MPa")
    expect(page.locator("#chart .band90")).to_have_count(1)
    expect(page.locator("#sliders input")).to_have_count(8)
    expect(page.locator("#refusal")).to_be_hidden()
    before, band = page.locator("#mean").inner_text(), page.locator("#chart .band90").get_attribute("points") or ""
    slide(page, "cement", 480)
    expect(page.locator("#mean")).not_to_have_text(before)
    expect(page.locator("#chart .band90")).not_to_have_attribute("points", band)
    page.locator("#axis").select_option("water")
    expect(page.locator("#chart")).to_contain_text("water, kg/m3")
    assert [url for url in visitor.requests if not url.startswith(visitor.address)] == []
    assert visitor.complaints == []


def test_beyond_the_training_rows_it_says_so(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    expect(page.locator("#mean")).to_contain_text("MPa")
    slide(page, "age", 450)
    expect(page.locator("#refusal")).to_contain_text("age is outside the training rows'")
    expect(page.locator("#sliders label.outside")).to_have_count(1)
    page.get_by_role("button", name="Back to the middle").click()
    expect(page.locator("#refusal")).to_be_hidden()
    assert visitor.complaints == []


def test_a_narrow_screen_shows_all_of_it(visit: Callable[..., Visitor]) -> None:
    page = visit(viewport={"width": 360, "height": 740}).open()
    expect(page.locator("#mean")).to_contain_text("MPa")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

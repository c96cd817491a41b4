"""The images page in a real browser: pictures come, and another seed brings others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.serving.browsing import Visitor, needs_browser, visitors
from tests.serving.servers import Server

pytestmark = needs_browser


@pytest.fixture
def visit(browser: Browser, images_server: Server) -> Iterator[Callable[..., Visitor]]:
    with visitors(browser, images_server, Visitor) as visit:
        yield visit


def test_pictures_of_a_seed_are_shown_and_of_another(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    expect(page.locator("#samples")).to_have_attribute("alt", "36 pictures of seed 1")
    expect(page.locator("#way")).to_have_attribute("alt", "The way from a picture of seed 1 to one of seed 2")
    assert page.locator("#samples").evaluate("image => image.decode().then(() => image.naturalWidth)") == 6 * 28
    page.get_by_label("Seed").first.fill("7")
    page.get_by_label("Pictures").fill("4")
    page.get_by_role("button", name="Make them").click()
    expect(page.locator("#said")).to_have_text("Seed 7")
    assert page.locator("#samples").evaluate("image => image.decode().then(() => image.naturalWidth)") == 2 * 28
    page.get_by_role("button", name="Another seed").click()
    expect(page.locator("#said")).not_to_have_text("Seed 7")
    expect(page.locator("#warnings")).to_contain_text("has passed no gate")
    assert [url for url in visitor.requests if not url.startswith((visitor.address, "blob:"))] == []
    assert visitor.complaints == []

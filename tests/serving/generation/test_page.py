"""The generation page in a real browser: pictures come, and another seed brings others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.serving.browsing import Visitor, limited, needs_browser, visitors
from tests.serving.servers import Server

pytestmark = needs_browser


@pytest.fixture
def visit(browser: Browser, generation_server: Server) -> Iterator[Callable[..., Visitor]]:
    with visitors(browser, generation_server, Visitor) as visit:
        yield visit


def test_pictures_of_a_seed_are_shown_and_of_another(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    expect(page.locator("#samples")).to_have_attribute("alt", "36 pictures of seed 1")
    expect(page.locator("#way")).to_have_attribute("alt", "The way from a picture of seed 1 to one of seed 2")
    assert page.locator("#samples").evaluate("image => image.decode().then(() => image.naturalWidth)") == 6 * 28
    expect(page.get_by_label("Pictures")).to_have_attribute("max", "100")
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


def test_the_page_asks_for_no_more_than_the_server_makes_and_says_how_weak_it_is(visit: Callable[..., Visitor]) -> None:
    visitor = visit()

    def answer(route: Route) -> None:
        fetched = route.fetch()
        found = fetched.json()
        found["limits"]["max_pictures"] = 5
        found["metrics"] = {"precision": 0.42, "recall": 0.31, "held_out_recall": 0.95, "frechet_distance": 12.34}
        route.fulfill(response=fetched, json=found)

    visitor.page.route("**/info", answer)
    page = visitor.open()
    expect(page.locator("#samples")).to_have_attribute("alt", "5 pictures of seed 1")
    expect(page.get_by_label("Pictures")).to_have_attribute("max", "5")
    assert page.locator("#way").evaluate("image => image.decode().then(() => image.naturalWidth)") == 5 * 28
    for words in (
        "42 % of its pictures",
        "31 % of what real ones show it can make (real held-out pictures: 95 %)",
        "12.3",
    ):
        expect(page.locator("#provenance")).to_contain_text(words)
    expect(page.get_by_role("banner")).to_contain_text("It is weak")
    assert visitor.complaints == []


def test_what_the_server_would_refuse_is_not_asked_for(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    expect(page.locator("#said")).to_have_text("Seed 1")
    before = visitor.asked("samples")
    for label, value in (("Pictures", "101"), ("Pictures", "0"), ("Pictures", ""), ("Seed", "-1"), ("Seed", "1.5")):
        page.get_by_label("Seed").first.fill("1")
        page.get_by_label("Pictures").fill("4")
        page.get_by_label(label).first.fill(value)
        page.get_by_role("button", name="Make them").click()
        expect(page.get_by_role("alert")).to_contain_text(f"{label}: ")
        assert visitor.asked("samples") == before
    page.get_by_label("Pictures").fill("4")
    page.get_by_role("button", name="Another seed").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    page.get_by_label("Pictures").fill("101")
    page.get_by_role("button", name="Another seed").click()
    expect(page.get_by_role("alert")).to_contain_text("Pictures: ")
    assert visitor.asked("samples") == before + 1
    assert visitor.complaints == []


def test_a_server_that_makes_one_picture_at_a_time_is_asked_for_no_way(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    limited(visitor.page, max_pictures=1)
    page = visitor.open()
    expect(page.locator("#samples")).to_have_attribute("alt", "1 pictures of seed 1")
    expect(page.locator("#way")).to_be_hidden()
    expect(page.get_by_role("button", name="Make them")).to_be_enabled()
    assert visitor.asked("interpolation") == 0
    assert visitor.complaints == []


def test_while_pictures_are_made_the_page_is_busy(visit: Callable[..., Visitor]) -> None:
    page = visit().open()
    button = page.get_by_role("button", name="Make them")
    expect(button).to_be_enabled()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/samples?*", hold)
    button.click()
    expect(page.locator("#pictures")).to_have_attribute("aria-busy", "true")
    expect(button).to_be_disabled()
    while not held:
        page.wait_for_timeout(20)
    held[0].continue_()
    expect(button).to_be_enabled()
    expect(page.locator("#pictures")).to_have_attribute("aria-busy", "false")

"""The agents page in a real browser: one watches, takes over, and gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.serving.browsing import Visitor, needs_browser, visitors
from tests.serving.servers import Server

pytestmark = needs_browser


@pytest.fixture
def visit(browser: Browser, agents_server: Server) -> Iterator[Callable[..., Visitor]]:
    with visitors(browser, agents_server, Visitor) as visit:
        yield visit


def test_an_episode_is_watched_to_its_end(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    page.get_by_label("Seed").fill("5")
    page.get_by_role("button", name="Watch an episode").click()
    expect(page.locator("#said")).to_contain_text("Seed 5: over after")
    expect(page.locator("#score")).to_contain_text("Return ")
    expect(page.locator(".action.taken")).to_have_count(1)
    assert page.locator("#picture").evaluate("canvas => [canvas.width, canvas.height]") == [600, 400]
    assert page.locator("#picture").evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, 600, 400).data.some((byte) => byte < 100)"
    )
    assert [url for url in visitor.requests if not url.startswith((visitor.address, "blob:"))] == []
    expect(page.locator("#warnings")).to_contain_text("has passed no gate")
    assert visitor.complaints == []


def test_a_visitor_takes_over_and_gives_back(visit: Callable[..., Visitor]) -> None:
    """From the fourth step on the game waits for each answer until the test gives it: no pole falls meanwhile."""
    visitor = visit()
    waiting: list[Route] = []
    answered = 0

    def answer(route: Route) -> None:
        nonlocal answered
        answered += 1
        route.fulfill(json={"actions": [1], "probabilities": [[0.25, 0.75]]})

    def answer_three(route: Route) -> None:
        if answered < 3:
            answer(route)
        else:
            waiting.append(route)

    visitor.page.route("**/act", answer_three)
    page = visitor.open()
    page.get_by_role("button", name="Play live").click()
    expect(page.locator("#said")).to_have_text("Episode 1, step 3.")
    expect(page.locator("#who")).to_have_text("The agent plays.")
    expect(page.locator(".action.taken")).to_contain_text("push right")
    page.locator("body").click(position={"x": 5, "y": 5})
    page.keyboard.press("ArrowRight")
    expect(page.locator("#who")).to_have_text("You play: push right.")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#who")).to_have_text("You play: push left.")
    answer(waiting.pop())
    expect(page.locator("#said")).to_have_text("Episode 1, step 4.")
    expect(page.locator(".action.taken")).to_contain_text("push left")
    page.get_by_role("button", name="Give it back to the agent").click()
    expect(page.locator("#who")).to_have_text("The agent plays.")
    answer(waiting.pop())
    expect(page.locator("#said")).to_have_text("Episode 1, step 5.")
    expect(page.locator(".action.taken")).to_contain_text("push right")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()
    expect(page.get_by_label("Who plays")).to_be_hidden()
    assert visitor.complaints == []


def test_what_the_server_would_refuse_is_not_asked_for(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    for value in ("-1", "1.5", ""):
        page.get_by_label("Seed").fill(value)
        page.get_by_role("button", name="Watch an episode").click()
        expect(page.get_by_role("alert")).to_contain_text("Seed: ")
    assert visitor.asked("episode") == 0
    assert visitor.complaints == []


def test_an_episode_that_breaks_off_is_said_to_be(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    page.route("**/episode?*", lambda route: route.fulfill(body="", content_type="text/event-stream"))
    page.get_by_role("button", name="Watch an episode").click()
    expect(page.get_by_role("alert")).to_contain_text("The connection broke")

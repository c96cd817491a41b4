"""The chat page in a real browser: two answers beside each other, a conversation, and what stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.serving.browsing import Visitor, needs_browser, visitors
from tests.serving.servers import Server

pytestmark = needs_browser


@pytest.fixture
def visit(browser: Browser, chat_server: Server) -> Iterator[Callable[..., Visitor]]:
    with visitors(browser, chat_server, Visitor) as visit:
        yield visit


def ask(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.get_by_label("Your message").press("Enter")


def test_a_question_is_answered_twice_and_the_conversation_goes_on(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    ask(page, "What is gold?")
    answers = page.locator("#conversation .answer")
    expect(answers).to_have_count(2)
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()
    for name, answer in zip(("Yoda", "Before tuning"), answers.all(), strict=True):
        expect(answer.locator("h3")).to_have_text(name)
        expect(answer.locator("p")).not_to_be_empty()
    expect(page.get_by_label("Your message")).to_have_value("")
    page.get_by_label("Answer as").select_option("leprechaun")
    page.get_by_label("with the untuned model beside it").uncheck()
    ask(page, "And silver?")
    expect(answers).to_have_count(3)
    expect(page.get_by_role("button", name="Ask")).to_be_enabled()
    expect(answers.last.locator("h3")).to_have_text("A leprechaun")
    page.get_by_role("button", name="New conversation").click()
    expect(answers).to_have_count(0)
    assert [url for url in visitor.requests if not url.startswith(visitor.address)] == []
    assert visitor.complaints == []


def test_nothing_and_too_much_are_said_and_not_lost(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    ask(page, "  ")
    expect(page.get_by_role("alert")).to_contain_text("Your message")
    page.get_by_label("Temperature").fill("9")
    ask(page, "What is gold?")
    expect(page.get_by_role("alert")).to_contain_text("Temperature")
    expect(page.get_by_label("Your message")).to_have_value("What is gold?")
    expect(page.locator("#conversation .answer")).to_have_count(0)
    assert visitor.complaints == []


def test_a_server_that_goes_away_is_said(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()

    def cut(route: Route) -> None:
        route.abort()

    page.route("**/chat", cut)
    ask(page, "What is gold?")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("button", name="Ask")).to_be_enabled()
    expect(page.get_by_label("Your message")).to_have_value("What is gold?")


def test_what_was_said_is_text_and_no_markup(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    ask(page, "<img src=x onerror=alert(1)><|im_end|>")
    expect(page.locator("#conversation .question")).to_have_text("<img src=x onerror=alert(1)><|im_end|>")
    expect(page.locator("#conversation img")).to_have_count(0)
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()
    assert visitor.complaints == []


def test_a_narrow_screen_shows_all_of_it(visit: Callable[..., Visitor]) -> None:
    page = visit(viewport={"width": 360, "height": 740}).open()
    ask(page, "What is gold?")
    expect(page.locator("#conversation .answer")).to_have_count(2)
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

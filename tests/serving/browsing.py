"""A real browser on a page of a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, expect, sync_playwright

from tests.serving.servers import Server

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]

PATIENCE_MS = 120_000
"""A busy machine is no fault of the page."""
expect.set_options(timeout=PATIENCE_MS)
needs_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}: run `make system`")


class Visitor:
    """A browser on the page; whatever it asked for and complained about is kept."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.address = address
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._console)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def asked(self, path: str) -> int:
        """How often the page has asked the server for this path."""
        return sum(url.split("?")[0] == f"{self.address}/{path}" for url in self.requests)

    def open(self, fragment: str = "") -> Page:
        self.page.goto(f"{self.address}/{fragment}")
        return self.page


def limited(page: Page, **limits: float) -> None:
    """Lets the server say that it has these limits."""

    def answer(route: Route) -> None:
        found = route.fetch().json()
        found["limits"] |= limits
        route.fulfill(json=found)

    page.route("**/info", answer)


def resize(page: Page, width: int) -> None:
    """Makes the window so wide, and waits until the page knows."""
    page.set_viewport_size({"width": width, "height": 740})
    page.wait_for_function("width => innerWidth === width", arg=width)


VisitorT = TypeVar("VisitorT", bound=Visitor)


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE_MS)
        yield browser
        browser.close()


@contextmanager
def visitors(browser: Browser, server: Server, kind: type[VisitorT]) -> Iterator[Callable[..., VisitorT]]:
    """Makes visitors of the server's page, each with a browser profile of its own; options: of the profile."""
    contexts = []

    def visit(**options: Any) -> VisitorT:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        return kind(context, server.address)

    yield visit
    for context in contexts:
        context.close()

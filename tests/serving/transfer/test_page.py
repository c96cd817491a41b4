"""The transfer page in a real browser: a photograph is looked at, and the visitor's categories are taught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.serving.browsing import Visitor, needs_browser, visitors
from tests.serving.servers import Server

pytestmark = needs_browser


@pytest.fixture
def visit(browser: Browser, transfer_server: Server) -> Iterator[Callable[..., Visitor]]:
    with visitors(browser, transfer_server, Visitor) as visit:
        yield visit


@pytest.fixture(scope="module")
def folder(pictures: dict[str, list[bytes]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("pictures")
    for name, contents in pictures.items():
        for number, content in enumerate(contents):
            (found / f"{name}{number}.jpg").write_bytes(content)
    return found


def fill(page: Page, place: int, name: str, folder: Path, count: int = 4) -> None:
    field = page.locator("#categories fieldset").nth(place)
    field.get_by_label("Name").fill(name)
    field.get_by_label("Pictures").set_input_files([folder / f"{name}{number}.jpg" for number in range(count)])


def test_a_photograph_is_looked_at_then_categories_are_taught_and_forgotten(
    visit: Callable[..., Visitor], folder: Path
) -> None:
    visitor = visit()
    page = visitor.open()
    page.locator("#file").set_input_files(folder / "sunflower5.jpg")
    expect(page.locator("#bars li")).to_have_count(4)
    expect(page.locator("#asked")).to_contain_text("96 categories")
    fill(page, 0, "airplanes", folder)
    fill(page, 1, "sunflower", folder)
    page.get_by_role("button", name="Teach it").click()
    expect(page.locator("#lesson-said")).to_contain_text("It knows airplanes, sunflower. Taught without them")
    expect(page.locator("#bars li")).to_have_count(2)
    expect(page.locator("#bars li").first).to_contain_text("sunflower")
    page.get_by_role("button", name="Forget my categories").click()
    expect(page.locator("#bars li")).to_have_count(4)
    assert [url for url in visitor.requests if not url.startswith((visitor.address, "blob:"))] == []
    assert visitor.complaints == []


def test_what_the_server_would_refuse_is_said_and_not_asked(visit: Callable[..., Visitor], folder: Path) -> None:
    visitor = visit()
    page = visitor.open()
    page.get_by_role("button", name="Teach it").click()
    expect(page.locator("#problem")).to_contain_text("Name")
    fill(page, 0, "chair", folder)
    fill(page, 1, "chair", folder)
    page.get_by_role("button", name="Teach it").click()
    expect(page.locator("#problem")).to_contain_text("two different categories")
    assert visitor.asked("teach") == 0
    assert visitor.complaints == []


def test_a_narrow_screen_shows_all_of_it(visit: Callable[..., Visitor]) -> None:
    page = visit(viewport={"width": 360, "height": 740}).open()
    expect(page.locator("#provenance")).to_contain_text("Variant")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

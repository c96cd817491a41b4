"""How a visitor begins a tune on the page: a MIDI file, and the keys. In a real browser, against the real server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.midi_files import melody, midi
from tests.serving.browsing import needs_browser, resize, visitors
from tests.serving.music.test_midi_api import JIG, SIGNED
from tests.serving.music.test_page import Player, needs_abcjs
from tests.serving.servers import Server

BEGUN = "GAB GBd|gdB AFD|GAB GBd|edB AFG|"


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Player]]:
    with visitors(browser, server, Player) as visit:
        yield visit


def begin(visitor: Player) -> Page:
    page = visitor.open()
    page.get_by_text("Begin it yourself").click()
    return page


def file(content: bytes, name: str = "tune.mid") -> FilePayload:
    return {"name": name, "mimeType": "audio/midi", "buffer": content}


def drop(page: Page, content: bytes) -> None:
    """Drops a file where one is asked for."""
    page.locator("#drop").evaluate(
        """(target, bytes) => {
          const dataTransfer = new DataTransfer()
          dataTransfer.items.add(new File([new Uint8Array(bytes)], 'tune.mid', { type: 'audio/midi' }))
          const send = (type) => target.dispatchEvent(new DragEvent(type, { bubbles: true, dataTransfer }))
          for (const type of ['dragover', 'drop']) send(type)
        }""",
        list(content),
    )


@needs_browser
@needs_abcjs
def test_the_tune_goes_on_from_a_midi_file(visit: Callable[..., Player]) -> None:
    visitor = visit()
    page = begin(visitor)
    page.locator("#file").set_input_files(files=[file(SIGNED)])
    expect(page.get_by_label("Start, in ABC")).to_have_value(BEGUN)
    expect(page.get_by_label("Key")).to_have_value("G Major")
    expect(page.get_by_label("Metre")).to_have_value("6/8")
    assumed = page.get_by_role("list", name="What was assumed of the file").get_by_role("listitem")
    expect(assumed.nth(1)).to_have_text("Metre 6/8: the file's time signature.")
    expect(page.get_by_role("status")).to_contain_text("begins as the file does")
    abc = visitor.write(seed=1)
    assert f"K:G Major\n{BEGUN}" in abc
    assert len(abc) > abc.index(BEGUN) + len(BEGUN)
    assert page.locator("#score .abcjs-note").count() >= len(JIG)
    assert visitor.complaints == []


@needs_browser
def test_a_file_is_dropped_and_read_again_in_a_metre_that_is_chosen(visit: Callable[..., Player]) -> None:
    visitor = visit()
    page = begin(visitor)
    drop(page, SIGNED)
    start = page.get_by_label("Start, in ABC")
    expect(start).to_have_value(BEGUN)
    page.get_by_label("Metre").select_option("9/8")
    expect(start).to_have_value(re.compile(r"^GAB GBd gdB\|"))
    expect(page.get_by_label("Key")).to_have_value("G Major")
    assert visitor.asked("tunes/from-midi") == 2
    assert visitor.complaints == []


@needs_browser
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (midi(melody([36, 38], channel=9)), "drums only"),
        (midi(melody([60, 62]), melody([55, 57])), "several voices"),
        (b"\x89PNG\r\n", "this is no MIDI file"),
        (b"", "There is nothing in this file."),
        (bytes(70_000), "more than the 65,536 bytes that the server takes"),
    ],
    ids=["drums", "voices", "picture", "empty", "large"],
)
def test_a_file_that_is_no_melody_is_refused_in_words(visit: Callable[..., Player], content: bytes, words: str) -> None:
    page = begin(visit())
    page.locator("#file").set_input_files(files=[file(content)])
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.get_by_label("Start, in ABC")).to_have_value("")


@needs_browser
@needs_abcjs
def test_keys_write_notes_that_the_tune_begins_with(visit: Callable[..., Player]) -> None:
    visitor = visit()
    page = begin(visitor)
    page.get_by_label("Key").select_option("G Major")
    page.get_by_label("Metre").select_option("6/8")
    start = page.get_by_label("Start, in ABC")
    for name in ("G 4", "A 4", "B 4", "F sharp 4", "F 4", "D sharp 4", "C 5"):
        page.get_by_role("button", name=name, exact=True).click()
    expect(start).to_have_value("GABF=F^D|c")
    page.get_by_label("Length of a note").select_option("quarter")
    page.get_by_role("button", name="D 5", exact=True).click()
    page.get_by_role("button", name="Rest").click()
    page.get_by_role("button", name="E 5", exact=True).click()
    expect(start).to_have_value("GABF=F^D|cd2z2e-|e")
    page.get_by_role("button", name="Take back").click()
    expect(start).to_have_value("GABF=F^D|cd2z2")
    abc = visitor.write(seed=4)
    assert "\nGABF=F^D|cd2z2" in abc
    assert page.locator("#score .abcjs-note").count() >= 8
    assert visitor.complaints == []


@needs_browser
def test_keys_are_played_by_touch_and_by_keyboard(visit: Callable[..., Player]) -> None:
    visitor = visit(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page = begin(visitor)
    keys = page.get_by_role("group", name="A piano").get_by_role("button")
    expect(keys).to_have_count(18)
    start = page.get_by_label("Start, in ABC")
    keys.nth(0).tap()
    expect(page.get_by_role("status")).to_have_text("C Major and 4/4: choose another above.")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.keyboard.press("f")
    page.keyboard.press("k")
    expect(start).to_have_value("CDFc")
    assert keys.evaluate_all("keys => keys.filter(key => key.tabIndex === 0).length") == 1
    for width in (360, 320):
        resize(page, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert visitor.complaints == []

"""The page in a real browser, against the real server. Everything a person does on it, and what can go wrong."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from mido import MidiFile
from playwright.sync_api import Browser, Page, Route, expect

from components.datasets.music.abc_notation import parse_tune
from components.datasets.music.form import find_form
from serving.page import ABCJS
from tests.serving.browsing import Visitor, needs_browser, resize, visitors
from tests.serving.servers import Server

WATCH = """
  globalThis.watched = { lengths: [], drawings: 0 }
  addEventListener('DOMContentLoaded', () => {
    const watch = (id, note) => new MutationObserver(note).observe(document.getElementById(id), { childList: true })
    watch('abc', () => watched.lengths.push(document.getElementById('abc').textContent.length))
    watch('score', () => watched.drawings++)
  })
"""
BUSY = """
  const request = globalThis.requestAnimationFrame, fetched = globalThis.fetch
  globalThis.requestAnimationFrame = (step) => request((now) => step(now - 30))
  globalThis.fetch = async (...args) => {
    const response = await fetched(...args)
    return new Response(await response.blob(), { status: response.status, headers: response.headers })
  }
"""
"""A busy browser: a whole tune has come before the first frame is shown, and the frame began before that."""
SURE = "Math.random = () => 0.5"
"""The seed that is drawn when none is given, so that each run writes the same tune."""
needs_abcjs = pytest.mark.skipif(not ABCJS.exists(), reason="no abcjs: run `make environment`")


class Player(Visitor):
    """A visitor of the music page."""

    def write(self, seed: int) -> str:
        """Presses the button and waits for the whole tune."""
        self.page.get_by_label("Seed").fill(str(seed))
        self.page.get_by_role("button", name="Write").click()
        return self.finished()

    def finished(self) -> str:
        expect(self.page.locator("#verdict")).to_be_visible()
        return self.page.locator("#abc").text_content() or ""

    def audio(self, attribute: str) -> Any:
        return self.page.locator("#audio").evaluate(f"audio => audio.{attribute}")


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Player]]:
    with visitors(browser, server, Player) as visit:
        yield visit


@needs_browser
@needs_abcjs
def test_one_press_writes_a_tune_that_can_be_seen_heard_and_kept(visit: Callable[..., Player], tmp_path: Path) -> None:
    visitor = visit()
    visitor.page.add_init_script(WATCH + BUSY + SURE)
    page = visitor.open()
    page.get_by_role("button", name="Write a tune").click()
    abc = visitor.finished()
    lengths, drawings = page.evaluate("[watched.lengths, watched.drawings]")
    assert lengths[:-1] == sorted(lengths[:-1])  # the last is the tune without the line ends after it
    assert len(set(lengths)) > len(abc) / 30, "it appears bit by bit"
    assert drawings > 1
    assert page.locator("#score svg").count() == 1
    assert page.locator("#score .abcjs-note").count() > 3
    assert page.get_by_role("heading", level=2).first.text_content() == _header(abc, "T")
    expect(page.get_by_role("status")).to_contain_text(f"{len(abc)} characters")

    # Held where it is looked at: a busy machine would find the tune over, or past its last note.
    audio = page.locator("#audio")
    audio.evaluate("audio => { audio.loop = true }")
    page.get_by_role("button", name="Listen").click()
    expect(audio).to_be_visible()
    expect(page.locator("#score .playing")).not_to_have_count(0)
    assert visitor.audio("duration") > 1
    audio.evaluate("audio => { audio.pause(); audio.currentTime = audio.duration - 1.05 }")
    expect(page.locator("#score .abcjs-note").last).to_have_class(re.compile("playing"))
    audio.evaluate("audio => { audio.loop = false; audio.play() }")
    expect(page.locator("#score .playing")).to_have_count(0)  # it has ended

    kept = {}
    for name in ("ABC", "MIDI", "WAV"):
        with page.expect_download() as download:
            page.get_by_role("button", name=name, exact=True).click()
        kept[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(kept[name])
    assert kept["ABC"].read_text().strip() == abc
    assert MidiFile(kept["MIDI"]).length + 1 == pytest.approx(visitor.audio("duration"), abs=0.1)
    assert kept["WAV"].read_bytes()[:4] == b"RIFF"
    assert {path.suffix for path in kept.values()} == {".abc", ".mid", ".wav"}

    elsewhere = [url for url in visitor.requests if not url.startswith((visitor.address, f"blob:{visitor.address}"))]
    assert elsewhere == []
    assert visitor.complaints == []


@needs_browser
def test_a_shared_link_writes_the_same_tune_again(visit: Callable[..., Player]) -> None:
    first = visit()
    page = first.open()
    page.get_by_label("Key").select_option("D Major")
    page.get_by_label("Metre").select_option("6/8")
    page.get_by_label("Kind").select_option("jig")
    page.get_by_label("Temperature").fill("0.7")
    abc = first.write(seed=11)
    assert (_header(abc, "K"), _header(abc, "M")) == ("D Major", "6/8")
    assert "-jig-" in _header(abc, "Z")
    second = visit()
    second.open(page.url.removeprefix(f"{first.address}/"))
    assert second.finished() == abc
    assert second.page.get_by_label("Key").input_value() == "D Major"
    assert second.page.get_by_label("Temperature").input_value() == "0.7"


@needs_browser
def test_a_visitor_hears_how_often_a_bar_was_drawn_again(visit: Callable[..., Player]) -> None:
    visitor = visit()
    page = visitor.open()
    asked = _verdicts(page, [True])
    page.get_by_role("button", name="Write a tune").click()
    expect(page.locator("#verdict")).to_contain_text("Valid: every bar adds up")
    expect(page.get_by_role("status")).to_contain_text("2 bars were drawn again")
    (request,) = asked
    expect(page.locator("#abc")).to_have_text(_written(request["seed"]))
    assert page.url.endswith(f"&seed={request['seed']}"), "the link is to the tune that is shown"


@needs_browser
def test_a_seed_that_was_asked_for_is_shown_as_it_is(visit: Callable[..., Player]) -> None:
    visitor = visit()
    page = visitor.open()
    asked = _verdicts(page, [False])
    visitor.write(seed=7)
    expect(page.locator("#verdict")).to_contain_text("Not valid")
    assert [request["seed"] for request in asked] == [7]


@needs_browser
def test_kinds_that_do_not_go_with_a_metre_are_not_offered(visit: Callable[..., Player]) -> None:
    page = visit().open()
    page.get_by_label("Metre").select_option("6/8")
    kinds = page.locator("select[name=type] option:enabled")
    expect(kinds).to_have_text(["any", "jig", "slide", "set dance", "O’Carolan air"])
    page.get_by_label("Kind").select_option("jig")
    expect(page.locator("select[name=metre] option:enabled")).to_have_text(["any", "6/8"])
    page.get_by_label("Metre").select_option("")
    expect(kinds).to_have_count(10)


@needs_browser
def test_a_form_is_asked_for_as_far_as_the_model_knows_it(visit: Callable[..., Player]) -> None:
    """The small model knows reels of 4 + 4 bars and a slide of 8 + 8."""
    visitor = visit()
    page = visitor.open()
    page.get_by_text("More choices").click()
    bars = page.locator("select[name=bars] option:enabled")
    expect(bars).to_have_text(["any", "4", "8"])
    page.get_by_label("Metre").select_option("6/8")
    page.get_by_label("Kind").select_option("slide")
    expect(bars).to_have_text(["any", "8"])
    expect(page.locator("select[name=repeats] option:enabled")).to_have_text(["any", "twice"])
    page.get_by_label("Parts").select_option("2")
    page.get_by_label("Bars of a part").select_option("8")
    page.get_by_label("Each part is played").select_option("twice")
    page.get_by_label("Temperature").fill("0.5")
    with page.expect_request("**/stream") as asked:
        abc = visitor.write(seed=3)
    body = json.loads(asked.value.post_data or "")
    assert {name: body[name] for name in ("parts", "bars", "repeats")} == {"parts": 2, "bars": 8, "repeats": True}
    form = find_form(parse_tune(abc))
    assert form is not None
    assert [part.bars for part in form.parts] == [8, 8]
    second = visit()
    second.open(page.url.removeprefix(f"{visitor.address}/"))
    assert second.finished() == abc, "the link has the form"
    assert visitor.complaints == []


@needs_browser
def test_the_choices_of_the_page_are_those_of_the_server(visit: Callable[..., Player]) -> None:
    visitor = visit()
    page = visitor.open()
    fields = page.request.get(f"{visitor.address}/docs.json").json()["components"]["schemas"]["StreamRequest"]
    for name, refused in (("metre", "5/7"), ("type", "tango"), ("key", "H Major")):
        allowed = json.dumps(fields["properties"][name])
        offered = page.locator(f"select[name={name}] option").evaluate_all("options => options.map(o => o.value)")
        assert len(offered) > 5
        assert refused not in offered
        for value in filter(None, offered):
            pattern = re.search(r'"pattern": "(.*?)"', allowed)
            assert f'"{value}"' in allowed or (pattern and re.search(pattern[1], value)), f"{name} {value}"


@needs_browser
@needs_abcjs
def test_nothing_runs_off_a_narrow_screen(visit: Callable[..., Player]) -> None:
    visitor = visit(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    visitor.page.add_init_script(WATCH)
    page = visitor.open()
    page.get_by_text("More choices").click()
    visitor.write(seed=3)
    page.get_by_role("button", name="Listen").click()
    expect(page.locator("#audio")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for width in (320, 768):
        drawings = page.evaluate("watched.drawings")
        resize(page, width)
        page.wait_for_function("before => watched.drawings > before", arg=drawings)  # again, for this width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert visitor.complaints == []


@needs_browser
def test_everything_is_done_with_the_keyboard_alone(visit: Callable[..., Player]) -> None:
    visitor = visit(reduced_motion="reduce")
    visitor.page.add_init_script(SURE)
    page = visitor.open()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "write":
            break
    page.keyboard.press("Enter")
    visitor.finished()
    page.locator("#listen").focus()
    page.keyboard.press("Space")
    expect(page.locator("#audio")).to_be_focused()


REFUSALS: list[tuple[int, dict[str, str], str, str]] = [
    (429, {"retry-after": "3"}, "{}", "as much to do as it can. Try again in 3 seconds."),
    (503, {"retry-after": "1"}, "{}", "can't do this just now. Try again in 1 second."),
    (422, {}, '{"errors": [{"field": "top_p", "reason": "too large"}]}', "The server refused this: top p: too large."),
    (400, {}, '{"detail": "not JSON"}', "The server refused this: not JSON."),
    (500, {}, '{"detail": "internal error"}', "Something broke in the server (internal error)."),
    (502, {}, "<h1>Bad gateway</h1>", "Something broke in the server (Bad Gateway)."),
]


@needs_browser
def test_refusals_are_shown_in_words(visit: Callable[..., Player]) -> None:
    page = visit().open()
    for status, headers, body, words in REFUSALS:
        page.unroute_all()
        page.route("**/stream", _refusal(status, headers, body))
        page.get_by_role("button", name="Write").click()
        expect(page.get_by_role("alert")).to_contain_text(words)
    page.unroute_all()
    page.route("**/stream", lambda route: route.abort())
    page.get_by_role("button", name="Write").click()
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer.")


@needs_browser
def test_a_real_refusal_names_the_field(visit: Callable[..., Player]) -> None:
    visitor = visit()
    page = visitor.open("#seed=1&start=" + quote("X:1\nM:C\nL:1/8\nK:H\n"))
    expect(page.get_by_role("alert")).to_contain_text(re.compile("The server refused this: start: .*unknown key 'H'"))
    assert visitor.asked("stream") == 1


@needs_browser
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"top_p": "7"}, "Top p: "),
        ({"top_k": "1001"}, "Top k: "),
        ({"max_length": "2001"}, "Longest, in characters: "),
        ({"seed": "-1"}, "Seed: "),
        ({"start": "a\n\nb"}, "an empty line ends a tune"),
        ({"start": "Né"}, "does not know the character é"),
        ({"start": "a" * 4001}, "4000 characters at most"),
        ({"start": "X:1\nT:Mine\n", "key": "D Major"}, "leave out the key"),
    ],
)
def test_what_the_page_knows_to_be_refused_is_not_asked_for(
    visit: Callable[..., Player], body: dict[str, str], words: str
) -> None:
    visitor = visit()
    page = visitor.open(f"#{urlencode({'seed': 1, **body}, quote_via=quote)}")
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.get_by_role("button", name="Write a tune")).to_be_enabled()
    assert visitor.asked("stream") == 0
    assert visitor.complaints == []
    page.evaluate("history.replaceState(null, '', '#')")
    page.locator("form").evaluate("form => form.reset()")
    visitor.write(seed=5)
    expect(page.get_by_role("alert")).to_be_hidden()


@needs_browser
def test_a_tune_without_music_cannot_be_played(visit: Callable[..., Player]) -> None:
    visitor = visit()
    page = visitor.open("#seed=1&max_length=10")
    visitor.finished()
    for name, usable in (("Listen", False), ("MIDI", False), ("WAV", False), ("ABC", True), ("Copy link", True)):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_enabled(enabled=usable)
    assert visitor.complaints == []


@needs_browser
def test_a_broken_stream_keeps_what_came_and_says_so(visit: Callable[..., Player]) -> None:
    page = visit().open()
    page.route("**/stream", _stream("X:1\nT:Half\nL:1/8\nM:C\nK:D\nABc"))
    page.get_by_role("button", name="Write a tune").click()
    expect(page.get_by_role("alert")).to_contain_text("broke after 28 characters")
    expect(page.locator("#abc")).to_have_text("X:1\nT:Half\nL:1/8\nM:C\nK:D\nABc")
    expect(page.get_by_role("button", name="Listen")).to_be_enabled()


@needs_browser
def test_what_the_network_writes_is_never_run(visit: Callable[..., Player]) -> None:
    evil = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
    visitor = visit()
    page = visitor.open()
    abc = f'X:1\nT:{evil}\nL:1/8\nM:C\nK:D\n"^{evil}"ABcd|]\nW:{evil}\n'
    tune = {"abc": abc, "valid": False, "problems": [evil], "length": len(abc)}
    page.route("**/stream", _stream(abc, {"tune": tune}))
    page.get_by_role("button", name="Write a tune").click()
    visitor.finished()
    expect(page.locator("#problems")).to_contain_text(evil)
    assert page.locator("#tune img, #tune script").count() == 0
    assert page.title() != "owned"


@needs_browser
def test_an_unpromoted_model_and_starter_data_are_said_loudly(visit: Callable[..., Player]) -> None:
    visitor = visit()

    def unpromoted(route: Route) -> None:
        answer = route.fetch().json()
        answer["model"]["promoted"] = False
        answer["model"]["provenance"]["data_profile"] = "starter"
        answer["limitations"] = ["It knows <b>nothing</b>."]
        route.fulfill(json=answer)

    visitor.page.route("**/info", unpromoted)
    page = visitor.open()
    warnings = page.get_by_role("region", name="Warnings")
    expect(warnings).to_contain_text("passed no gate")
    expect(warnings).to_contain_text("“starter” data")
    expect(page.locator("#limitations li")).to_have_text(["It knows <b>nothing</b>."])


@needs_browser
def test_without_abcjs_the_tune_is_still_there_as_text(visit: Callable[..., Player]) -> None:
    visitor = visit()
    visitor.page.route("**/abcjs/**", lambda route: route.fulfill(status=404))
    visitor.open()
    assert visitor.write(seed=5).startswith("X:")
    expect(visitor.page.locator("#score")).to_contain_text("Sheet music is not installed")


def test_every_file_of_the_page_comes_with_a_policy_that_keeps_other_scripts_out(server: Server) -> None:
    for path in ("/", "/static/page.js", "/static/page.css", "/static/shared/page.css"):
        policy = server.client.get(path).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe-inline" not in policy
        assert "unsafe-eval" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|https?://", server.client.get("/").text)


def test_abcjs_is_pinned_by_hash_and_the_lock_names_no_registry() -> None:
    lock = json.loads((ABCJS.parents[2] / "package-lock.json").read_text())
    package = lock["packages"]["node_modules/abcjs"]
    assert package["integrity"].startswith("sha512-")
    assert "resolved" not in package


def _header(abc: str, letter: str) -> str:
    match = re.search(rf"^{letter}:(.*)$", abc, re.MULTILINE)
    return match[1].strip() if match else ""


def _refusal(status: int, headers: dict[str, str], body: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(status=status, headers=headers, body=body)


def _written(seed: int) -> str:
    return f"X:1\nT:Made\nM:C\nL:1/8\nK:D\nABcd efg{'abcdefg'[seed % 7]}|"


def _verdicts(page: Page, verdicts: list[bool]) -> list[dict[str, Any]]:
    """Answers the page's requests with these verdicts, one after the other; returns the list of what was asked."""
    asked: list[dict[str, Any]] = []

    def answer(route: Route) -> None:
        asked.append(json.loads(route.request.post_data or ""))
        abc, valid = _written(asked[-1]["seed"]), verdicts[len(asked) - 1]
        tune = {"abc": abc, "valid": valid, "problems": [] if valid else ["bar 1"], "length": len(abc), "redrawn": 2}
        _stream(abc, {"tune": tune})(route)

    page.route("**/stream", answer)
    return asked


def _stream(text: str, done: dict[str, Any] | None = None) -> Callable[[Route], None]:
    """Answers /stream with this text, then the closing event or, without one, the end of the connection."""
    events = [f"event: text\ndata: {json.dumps({'text': part})}\n\n" for part in re.findall(r"(?s).{1,7}", text)]
    if done:
        events.append(f"event: done\ndata: {json.dumps(done)}\n\n")
    return lambda route: route.fulfill(content_type="text/event-stream", body="".join(events))

"""All labs on one port: each answers below its name as it does alone, and the front page says which there are."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Browser, Route, expect

from components.bundle import Bundle
from components.labs import LABS
from tests.serving.browsing import Visitor, needs_browser, resize, visitors
from tests.serving.conftest import EASY
from tests.serving.servers import PROJECT, Server, running, write_params


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "serving", "--port", "0", *options]


@pytest.fixture(scope="module")
def registry(promoted_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a registry in which music has a champion."""
    address = f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db"
    client = MlflowClient(address)
    client.create_registered_model("music")
    version = client.create_model_version("music", str(promoted_bundle))
    client.set_registered_model_alias("music", "champion", str(version.version))
    return address


@pytest.fixture(scope="module")
def damaged(digits_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damaged") / "digits"
    shutil.copytree(digits_bundle, folder)
    with (folder / "float.onnx").open("ab") as file:
        file.write(b"!")
    return folder


@pytest.fixture(scope="module")
def front(
    registry: str, generation_bundle: Path, damaged: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Two labs that are served, one that cannot be, and those that are not there."""
    folder = tmp_path_factory.mktemp("front")
    arguments = command(
        *("--params", str(write_params(folder)), "--allow-unpromoted"),
        *("--bundle", f"digit_generation={generation_bundle}", "--bundle", f"digits={damaged}"),
    )
    with running(arguments, folder, environment={"MLFLOW_TRACKING_URI": registry, "SERVE_BUNDLE": ""}) as server:
        yield server


@pytest.fixture
def visit(browser: Browser, front: Server) -> Iterator[Callable[..., Visitor]]:
    with visitors(browser, front, Visitor) as visit:
        yield visit


def labs(server: Server) -> dict[str, dict[str, Any]]:
    return {lab["name"]: lab for lab in server.client.get("/labs.json").json()}


def test_every_lab_is_listed_with_its_verdict_its_figures_and_what_makes_one_that_is_missing(front: Server) -> None:
    found = labs(front)
    assert found.keys() == set(LABS)
    assert found["music"]["verdict"] == "PASS"
    assert found["music"]["metrics"] == {"bits_per_char": 1.3}
    assert found["music"]["url"] == "music/"
    assert "Irish folk tunes" in found["music"]["about"]
    assert found["digit_generation"]["url"] == "digit_generation/"
    assert found["digit_generation"]["verdict"] == "", "it has passed no gate"
    assert "sha256" in found["digits"]["problem"]
    assert found["digits"]["url"] == ""
    for lab in set(LABS) - {"music", "digit_generation", "digits"}:
        assert found[lab]["command"] == f"make repro LAB={lab}"
        assert found[lab]["url"] == ""


def test_a_lab_answers_below_its_name_as_it_does_alone(front: Server, server: Server, promoted_bundle: Path) -> None:
    body = {**EASY, "seed": 7}
    made = front.client.post("/music/generate", json={**body, "count": 2})
    assert made.json() == server.client.post("/generate", json={**body, "count": 2}).json()
    assert made.headers["x-model-digest"] == Bundle.open(promoted_bundle).digest
    assert front.client.get("/music/info").json()["model"]["promoted"] is True
    assert front.client.get("/digit_generation/info").json()["model"]["promoted"] is False
    assert front.client.get("/digit_generation/samples?count=1").headers["content-type"] == "image/png"
    streams = (front.client.post("/music/stream", json=body), server.client.post("/stream", json=body))
    below, alone = (stream.text.rpartition("event: done\n")[2] for stream in streams)
    assert below == alone != ""
    for lab in ("music", "digit_generation"):
        for path in ("livez", "readyz", "metrics", "docs.json", "", "static/page.js", "static/shared/page.css"):
            assert front.client.get(f"/{lab}/{path}").status_code == 200, path
        assert front.client.get(f"/{lab}/docs.json").json()["servers"] == [{"url": "./"}]
        refused = front.client.get(f"/{lab}/nope")
        assert refused.status_code == 404
        assert refused.headers["content-type"] == "application/problem+json"


def test_the_root_has_probes_and_refuses_what_it_does_not_know(front: Server) -> None:
    assert front.client.get("/livez").status_code == 200
    assert front.client.get("/readyz").status_code == 200
    for path in ("/nope", "/generate", "/info", "/faces/", "/static/nope.js"):
        assert front.client.get(path).status_code == 404
    assert front.client.post("/labs.json").status_code == 405
    refused = front.client.get("/nope")
    assert refused.headers["content-type"] == "application/problem+json"
    moved = front.client.get("/music")
    assert (moved.status_code, moved.headers["location"]) == (307, "music/")


def test_a_request_is_logged_with_its_lab(front: Server) -> None:
    front.client.get("/digit_generation/info", headers={"x-request-id": "of-pictures"})
    front.wait_for_log("of-pictures")
    (line,) = [line for line in front.log().splitlines() if "of-pictures" in line]
    assert '"lab": "digit_generation", "route": "/info"' in line


@needs_browser
def test_the_front_page_leads_to_pages_that_work(visit: Callable[..., Visitor], front: Server) -> None:
    visitor = visit()
    page = visitor.open()
    cards = page.locator("#labs article")
    expect(cards).to_have_count(len(LABS))
    music = cards.filter(has=page.get_by_role("link", name="Music"))
    expect(music).to_contain_text("Passed its gate")
    expect(music.locator("dl")).to_contain_text("bits per char1.3")
    expect(cards.filter(has=page.get_by_role("heading", name="Digits", exact=True))).to_contain_text("Cannot be served")
    expect(cards.filter(has_text="make repro LAB=faces")).to_contain_text("No model yet")
    expect(cards.first.get_by_role("link")).to_be_visible()

    page.get_by_role("link", name="Music").click()
    page.get_by_label("Seed").fill("5")
    page.get_by_role("button", name="Write a tune").click()
    expect(page.locator("#verdict")).to_be_visible()
    page.get_by_role("button", name="Listen").click()
    expect(page.locator("#audio")).to_be_visible()
    assert page.url.startswith(f"{front.address}/music/#")

    page = visitor.open()
    page.get_by_role("link", name="Digit generation").click()
    expect(page.locator("#samples")).to_have_attribute("alt", "36 pictures of seed 1")
    elsewhere = [url for url in visitor.requests if not url.startswith((visitor.address, f"blob:{visitor.address}"))]
    assert elsewhere == []
    assert visitor.complaints == []


@needs_browser
def test_what_is_pressed_before_the_script_is_there_loses_nothing(visit: Callable[..., Visitor], front: Server) -> None:
    visitor = visit()
    page = visitor.page
    late: list[Route] = []
    page.route("**/static/page.js", lambda route: late.append(route))
    page.goto(f"{front.address}/music/", wait_until="commit")
    while not page.evaluate("performance.getEntriesByName('first-contentful-paint').length"):
        page.wait_for_timeout(20)
    write = page.locator("#write")
    write.click(force=True)  # also where it takes nothing

    page.wait_for_timeout(200)  # a form that the browser sends itself would leave the page now
    assert page.url == f"{front.address}/music/"
    while not late:
        page.wait_for_timeout(20)
    late[0].continue_()
    page.get_by_label("Seed").fill("5")
    write.click()
    expect(page.locator("#verdict")).to_be_visible()
    assert "seed=5" in page.url
    assert visitor.asked("music/") == 1
    assert visitor.complaints == []


@needs_browser
def test_nothing_runs_off_a_narrow_screen(visit: Callable[..., Visitor]) -> None:
    page = visit(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True).open()
    expect(page.locator("#labs article")).to_have_count(len(LABS))
    for width in (360, 320, 768):
        resize(page, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@needs_browser
def test_what_is_said_of_a_lab_is_never_run_and_a_server_that_is_gone_is_noticed(
    visit: Callable[..., Visitor],
) -> None:
    evil = "<img src=x onerror=document.title='owned'>"
    visitor = visit()

    def answer(route: Route) -> None:
        found = route.fetch().json()
        found[0] |= {"about": evil, "problem": evil, "verdict": "WAIVED", "audit": "FAIL"}
        route.fulfill(json=found)

    visitor.page.route("**/labs.json", answer)
    page = visitor.open()
    expect(page.locator("#labs")).to_contain_text(evil)
    assert page.locator("#labs img").count() == 0
    assert page.title() == "The labs"
    page.route("**/labs.json", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer.")


def test_sigterm_lets_what_runs_in_any_lab_finish(
    endless_bundle: Path, generation_bundle: Path, tmp_path: Path
) -> None:
    params = write_params(tmp_path, max_length=10_000_000, drain_seconds=600.0)
    arguments = command(
        *("--params", str(params), "--allow-unpromoted"),
        *("--bundle", f"music={endless_bundle}", "--bundle", f"digit_generation={generation_bundle}"),
    )
    with running(arguments, tmp_path, environment=nowhere(tmp_path)) as server:
        with server.client.stream(
            "POST", "/music/stream", json={"max_length": 10_000_000, "valid_only": False}
        ) as answer:
            chunks = answer.iter_raw()
            next(chunks)
            server.process.send_signal(signal.SIGTERM)
            server.wait_for(lambda: server.client.get("/readyz").status_code == 503)
            assert server.client.get("/livez").status_code == 200
            for method, path in (("POST", "/music/generate"), ("GET", "/digit_generation/samples")):
                refused = server.client.request(method, path, json={} if method == "POST" else None)
                assert refused.status_code == 503
                assert int(refused.headers["retry-after"]) >= 1
            assert b"event: text" in next(chunks)
        assert server.process.wait(300) == 0, "it ends when nobody listens any more"


def test_without_any_champion_the_front_page_says_what_makes_them(tmp_path: Path) -> None:
    with running(command(), tmp_path, environment=nowhere(tmp_path)) as server:
        assert {lab["command"] for lab in labs(server).values()} == {f"make repro LAB={lab}" for lab in LABS}
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(300) == 0
    assert not (tmp_path / "none.db").exists(), "looking for champions makes no registry"


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        (["--bundle", "music"], {}, "write LAB=FOLDER"),
        (["--bundle", "musik=x"], {}, "did you mean 'music'?"),
        ([], {"SERVE_BUNDLE": "build/music/export"}, "name the lab"),
    ],
)
def test_what_cannot_be_started_is_one_line(
    options: list[str], environment: dict[str, str], words: str, tmp_path: Path
) -> None:
    variables = {**os.environ, **nowhere(tmp_path), **environment}
    done = subprocess.run(command(*options), cwd=PROJECT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr


def nowhere(folder: Path) -> dict[str, str]:
    """Variables of a process that finds no champion."""
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/none.db", "SERVE_BUNDLE": ""}

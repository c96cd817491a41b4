"""The agents API with the lab driving: actions are steering, gas and brake, and a decision is held for some frames."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from components.bundle import Bundle
from components.labs.driving.runtime import DrivingPolicy
from components.labs.driving.runtime import play as drive
from tests.components.labs.driving.made import environment, write_untrained
from tests.serving.agents.test_api import act, events
from tests.serving.browsing import Visitor, needs_browser, visitors
from tests.serving.servers import Server, serving


@pytest.fixture(scope="module")
def driving_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained(tmp_path_factory.mktemp("driving"), tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def driving_server(driving_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving("driving", driving_bundle, tmp_path_factory.mktemp("server"), "--allow-unpromoted") as running:
        yield running


def frames(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 2, 96, 96, 3), dtype=np.uint8)


def test_actions_are_the_bundles_for_each_pair_of_frames(driving_server: Server, driving_bundle: Path) -> None:
    answer = act(driving_server, frames(2).tolist())
    assert answer.status_code == 200, answer.text
    wanted = DrivingPolicy.load(Bundle.open(driving_bundle)).act(frames(2))
    assert np.allclose(answer.json()["actions"], wanted, atol=1e-6)
    assert answer.json()["probabilities"] == []


@pytest.mark.parametrize("wrong", [frames(1)[:, :1], frames(1) / 2, frames(1).astype(int) - 255])
def test_what_is_no_pair_of_frames_is_refused_by_name(driving_server: Server, wrong: Any) -> None:
    answer = act(driving_server, wrong.tolist())
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].startswith("observations.0")


def test_an_episode_is_what_the_policy_drives(driving_server: Server, driving_bundle: Path) -> None:
    *steps, (last, done) = events(driving_server.client.get("/episode?seed=5&pictures=false").text)
    wanted = list(drive(environment(), DrivingPolicy.load(Bundle.open(driving_bundle)), 5))
    assert [name for name, _ in steps] == ["step"] * len(wanted)
    assert np.allclose([step["action"] for _, step in steps], [moment.action for moment in wanted])
    assert (last, done["steps"], done["ended"]) == ("done", len(wanted), True)
    assert done["total"] == pytest.approx(wanted[-1].total)


def play(server: Server, seed: int, actions: Any) -> Any:
    return server.client.post("/play", json={"seed": seed, "actions": actions})


def test_driven_by_the_policys_own_wishes_it_is_the_episode_of_the_policy(
    driving_server: Server, driving_bundle: Path
) -> None:
    wanted = list(drive(environment(), DrivingPolicy.load(Bundle.open(driving_bundle)), 5))
    now, actions = play(driving_server, 5, []).json(), list[Any]()
    for moment in wanted:
        assert now["action"] == pytest.approx(moment.action)
        assert not now["ended"]
        actions.append(now["action"])
        now = play(driving_server, 5, actions).json()
        assert now["step"] == len(actions)
        assert (now["reward"], now["total"]) == (pytest.approx(moment.reward), pytest.approx(moment.total))
    assert now["ended"]


def test_a_game_that_is_no_longer_kept_is_played_again_from_its_seed_to_the_same_frames(
    driving_server: Server,
) -> None:
    actions = [[0.3, 0.6, 0.0]] * 6
    one_by_one = [play(driving_server, 1, actions[:count]) for count in range(1, 7)][-1].json()
    for seed in range(2, 8):
        play(driving_server, seed, actions[:1])
    at_once = play(driving_server, 1, actions).json()
    assert at_once == one_by_one
    assert play(driving_server, 1, actions).json() == one_by_one, "asked again, it says the same"
    assert len(one_by_one["pictures"]) == 2
    other = play(driving_server, 1, [*actions[:5], [-1.0, 0.6, 0.0]]).json()
    assert other["pictures"] != one_by_one["pictures"], "the last action counts, whatever came before it"
    pictures = [Image.open(io.BytesIO(base64.b64decode(picture))) for picture in one_by_one["pictures"]]
    assert [picture.size for picture in pictures] == [(600, 400)] * 2


def test_actions_after_the_end_are_not_taken(driving_server: Server) -> None:
    too_many = play(driving_server, 3, [[0.0, 0.5, 0.0]] * 30).json()
    assert (too_many["step"], too_many["ended"], len(too_many["pictures"])) == (25, True, 1)
    for count in (24, 25):
        one_by_one = play(driving_server, 3, [[0.0, 0.5, 0.0]] * count).json()
    assert one_by_one == too_many


@pytest.mark.parametrize(
    ("actions", "field"),
    [([[0.0, 0.5]], "actions.0"), ([[0.0, 1.5, 0.0]], "actions.0"), ([[0.0, float("nan"), 0.0]], "actions.0"),
     ([1], "actions.0"), ("left", "actions"), ([[0.0, 0.0, 0.0]] * 1001, "actions")],
)  # fmt: skip
def test_actions_that_no_game_takes_are_refused_by_name(driving_server: Server, actions: Any, field: str) -> None:
    body = json.dumps({"seed": 3, "actions": actions})
    answer = driving_server.client.post("/play", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].startswith(field)


@pytest.fixture
def visit(browser: Browser, driving_server: Server) -> Iterator[Callable[..., Visitor]]:
    with visitors(browser, driving_server, Visitor) as visit:
        yield visit


@needs_browser
def test_one_watches_it_drive_and_sees_its_wheel_and_pedals(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    expect(page.locator("#lead")).to_contain_text("imitating")
    expect(page.get_by_role("button", name="Play live")).to_have_count(0)
    page.get_by_label("Seed").fill("5")
    page.get_by_role("button", name="Watch an episode").click()
    expect(page.locator("#said")).to_contain_text("Seed 5: over after 25 steps")
    expect(page.locator(".action")).to_have_count(3)
    expect(page.locator(".action").nth(1)).to_contain_text("gas")
    assert visitor.complaints == []


ONE_BY_ONE = """
window.asked = []
const ask = window.fetch
window.fetch = async (url, options) => {
  if (String(url).endsWith('play')) {
    const { actions } = JSON.parse(options.body)
    window.asked.push(actions.at(-1))
    if (actions.length > 3) await new Promise((resolve) => (window.letGo = resolve))
  }
  return ask(url, options)
}
"""
"""From the fourth action on the page waits with each until the test lets it go: no lap ends meanwhile."""


@needs_browser
def test_a_visitor_takes_the_wheel_and_gives_it_back(visit: Callable[..., Visitor], driving_server: Server) -> None:
    visitor = visit()
    visitor.page.add_init_script(ONE_BY_ONE)
    page = visitor.open()
    page.get_by_label("Seed").fill("5")
    page.get_by_role("button", name="Drive").click()
    page.wait_for_function("count => asked.length === count", arg=5)
    expect(page.locator("#who")).to_have_text("The agent drives.")
    expect(page.locator("#said")).to_have_text("Seed 5, step 3.")
    page.keyboard.down("ArrowUp")
    page.keyboard.down("ArrowRight")
    expect(page.locator("#who")).to_have_text("You drive.")
    page.evaluate("() => letGo()")
    page.wait_for_function("count => asked.length === count", arg=6)
    page.keyboard.up("ArrowUp")
    page.evaluate("() => letGo()")
    page.wait_for_function("count => asked.length === count", arg=7)
    page.get_by_role("button", name="Give it back").click()
    expect(page.locator("#who")).to_have_text("The agent drives.")
    page.evaluate("() => letGo()")
    page.wait_for_function("count => asked.length === count", arg=8)
    *before, last = page.evaluate("() => asked.slice(1)")
    assert (before[4][1], before[5][1]) == (0.5, 0), "the key of the gas was held, and let go"
    assert -1 <= before[4][0] < before[5][0], "the wheel turns to the right, and not at once"
    assert last == pytest.approx(play(driving_server, 5, before).json()["action"])
    assert page.locator("#picture").evaluate("canvas => [canvas.width, canvas.height]") == [600, 400]
    page.get_by_role("button", name="Stop").click()
    page.evaluate("() => letGo()")
    expect(page.get_by_label("Who plays")).to_be_hidden()
    assert visitor.complaints == []


@needs_browser
def test_a_drive_that_the_visitor_took_over_goes_on_to_its_end(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    page.get_by_role("button", name="Drive").click()
    page.get_by_role("button", name="↑ Gas").dispatch_event("pointerdown")
    expect(page.locator("#said")).to_have_text("Seed 1: over after 25 steps.")
    expect(page.locator("#score")).to_contain_text("Return ")
    assert visitor.complaints == []

"""The agents API with the lab driving: actions are steering, gas and brake, and a decision is held for some frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from components.bundle import Bundle
from components.labs.driving.runtime import DrivingPolicy, play
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
    assert answer.json()["errors"][0]["field"] == "observations"


def test_an_episode_is_what_the_policy_drives(driving_server: Server, driving_bundle: Path) -> None:
    *steps, (last, done) = events(driving_server.client.get("/episode?seed=5&pictures=false").text)
    wanted = list(play(environment(), DrivingPolicy.load(Bundle.open(driving_bundle)), 5))
    assert [name for name, _ in steps] == ["step"] * len(wanted)
    assert np.allclose([step["action"] for _, step in steps], [moment.action for moment in wanted])
    assert (last, done["steps"], done["ended"]) == ("done", len(wanted), True)
    assert done["total"] == pytest.approx(wanted[-1].total)


@pytest.fixture
def visit(browser: Browser, driving_server: Server) -> Iterator[Callable[..., Visitor]]:
    with visitors(browser, driving_server, Visitor) as visit:
        yield visit


@needs_browser
def test_one_watches_it_drive_and_sees_its_wheel_and_pedals(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open()
    expect(page.locator("#lead")).to_contain_text("imitating")
    expect(page.get_by_role("button", name="Play live")).to_be_hidden()
    page.get_by_label("Seed").fill("5")
    page.get_by_role("button", name="Watch an episode").click()
    expect(page.locator("#said")).to_contain_text("Seed 5: over after 25 steps")
    expect(page.locator(".action")).to_have_count(3)
    expect(page.locator(".action").nth(1)).to_contain_text("gas")
    assert visitor.complaints == []

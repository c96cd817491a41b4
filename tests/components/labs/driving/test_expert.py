"""The teacher: it keeps to the road, finishes its laps, and comes back when it was pushed off."""

from __future__ import annotations

import numpy as np
import pytest

from components.datasets.driving.expert_reader import Expert
from components.datasets.driving.game_reader import Racing
from components.datasets.driving.line_reader import racing_line
from components.labs.driving.evaluation.episodes import drive_by_expert
from tests.components.labs.driving.made import train


@pytest.mark.parametrize("seed", [1, 5])
def test_it_finishes_a_lap_above_what_counts_as_solved(seed: int) -> None:
    driven = drive_by_expert(Racing(1000), seed, train().expert, train().hold)
    assert driven.length < 1000
    assert driven.total > 900


def test_its_line_stays_on_the_road_and_is_driven_slower_in_bends() -> None:
    game, line = Racing(10), train().expert.line
    game.start(7)
    track = np.array(game.track)[:, 1:]
    found = racing_line(track, 40 / 6, line)
    apart = np.sqrt(((found.points[:, None] - track[None, :, 1:]) ** 2).sum(axis=-1).min(axis=1))
    assert apart.max() < 40 / 6
    assert found.speed.max() <= line.top_speed
    bends = np.abs(found.curvature) > np.quantile(np.abs(found.curvature), 0.9)
    assert found.speed[bends].mean() < found.speed[~bends].mean()
    assert (found.speed**2 * np.abs(found.curvature)).max() <= line.grip * 1.001


def test_pushed_off_the_road_it_comes_back_and_goes_on() -> None:
    game, params = Racing(1000), train()
    game.start(9)
    expert = Expert(game.track, params.expert)
    for _ in range(40):
        game.hold(expert.act(game.car), params.hold)
    for _ in range(10):
        game.hold(np.array([1.0, 0.6, 0.0]), params.hold)
    assert not any(wheel.tiles for wheel in game.car.wheels), "the push takes it off the road"
    visited = game.tile_visited_count
    for _ in range(100):
        game.hold(expert.act(game.car), params.hold)
    assert all(wheel.tiles for wheel in game.car.wheels)
    assert game.tile_visited_count > visited + 20

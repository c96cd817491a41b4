"""Ball and paddles are found in Pong's frames where the game's memory says that they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from components.datasets import find_dataset
from components.datasets.environments.prepare import describe
from components.datasets.environments.reader import Environment
from components.datasets.environments.vector_reader import vector
from components.errors import UserError
from components.families.agents.training.algorithms import agent
from components.families.agents.training.preprocessing import PongPositions, preprocessing
from components.labs import find
from components.params import load, load_dataset
from components.settings import project_root
from components.sources.catalogue import packages_of

BALL_X, BALL_Y, THEIR_Y, OUR_Y = 49, 54, 50, 51
"""Bytes of the game's memory (Anand et al. 2019, "Unsupervised state representation learning in Atari", table 5)."""
HALF_FIELD = 79.5
"""Rows from the field's middle to its edge, the unit of a vertical position."""


@pytest.fixture(scope="module")
def environment() -> Environment:
    params: Any = load_dataset(find_dataset("pong"), project_root() / "params.yaml")
    return describe("pong", packages_of("pong"), params)


def played(environment: Environment, steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Observations of random play, and the game's memory then."""
    game: Any = environment.make()
    draw = np.random.RandomState(0)
    observation, _ = game.reset(seed=3)
    for _ in range(steps):
        yield np.asarray(observation), game.unwrapped.ale.getRAM().astype(float)
        observation, _, terminated, truncated, _ = game.step(int(draw.randint(3)))
        assert not (terminated or truncated)
    game.close()


def test_positions_are_those_in_the_memory_of_the_game(environment: Environment) -> None:
    observations, memory = (np.stack(part) for part in zip(*played(environment, 400), strict=True))
    found = PongPositions([255.0], 2)(torch.from_numpy(observations)).numpy()
    across, down, ours, theirs = found[:, 4:8].T  # of the second frame
    seen = found[:, 9] > 0
    assert 0.5 < seen.mean() < 1, "between two points there is no ball"
    shown = {OUR_Y: memory[:, OUR_Y] > 60, THEIR_Y: memory[:, THEIR_Y] > 60}
    shown |= {BALL_X: seen, BALL_Y: seen}
    for byte, place in {BALL_X: across, BALL_Y: down, OUR_Y: ours, THEIR_Y: theirs}.items():
        assert np.corrcoef(place[shown[byte]], memory[shown[byte], byte])[0, 1] > 0.99
    rows, known = HALF_FIELD * down[seen], memory[seen, BALL_Y]
    away = np.abs((rows - rows.mean()) - (known - known.mean()))
    assert np.median(away) < 2.5, "rows; the frame is the brighter of two, in which the ball moved"


def test_a_ball_that_is_not_there_has_no_place_and_no_speed() -> None:
    empty = np.full((1, 2, 210, 160), 87, np.uint8)
    assert not PongPositions([255.0], 2)(torch.from_numpy(empty)).any()
    appears = empty.copy()
    appears[0, 1, 100:104, 60:62] = 236
    found = PongPositions([255.0], 2)(torch.from_numpy(appears))[0]
    assert found[4:6].abs().sum() > 0 and found[8:10].tolist() == [0, 1]
    assert found[10:].tolist() == [0, 0, 0, 0]


def test_games_side_by_side_show_the_same_frames_as_gymnasium(environment: Environment) -> None:
    (name, pictures), stack = environment.wrappers
    still = environment.model_copy(update={"wrappers": ((name, {**pictures, "noop_max": 0}), stack)})
    game, games = still.make(), vector(still, 2)
    one, _ = game.reset(seed=1)
    many, _ = games.reset(seed=1)
    assert many.shape == (2, *environment.observation_shape)
    draw = np.random.RandomState(0)
    for _ in range(300):
        action = int(draw.randint(3))
        one, reward, *_ = game.step(action)
        many, rewards, *_ = games.step(np.array([action, action]))
        assert np.array_equal(many[0], one) and np.array_equal(many[1], one)
        assert rewards.tolist() == [reward, reward]


def test_positions_of_another_game_are_refused_in_one_line(environment: Environment) -> None:
    params: Any = load(find("pong"), project_root() / "params.yaml").train
    other = environment.model_copy(update={"observation_shape": (2, 84, 84)})
    with pytest.raises(UserError, match="pong_positions, which takes grey frames of 210 x 160"):
        preprocessing(other, params)


def frames_after(environment: Environment, action: int) -> np.ndarray:
    games = vector(environment, 2)
    games.reset(seed=1)
    for _ in range(40):
        found, *_ = games.step(np.array([action, action]))
    return np.array(found)


def test_options_of_training_change_its_games_and_not_the_game_that_is_exported(environment: Environment) -> None:
    params: Any = load(find("pong"), project_root() / "params.yaml").train
    stuck = params.model_copy(update={"options": {"repeat_action_probability": 1.0}})
    learner = agent(environment, stuck)
    up, down = (frames_after(learner.environment, action) for action in (1, 2))
    assert np.array_equal(up, down), "no action but the first is ever taken"
    up, down = (frames_after(environment, action) for action in (1, 2))
    assert not np.array_equal(up, down)
    assert environment.options["repeat_action_probability"] == 0.0


def test_an_option_that_games_side_by_side_would_not_heed_is_refused(environment: Environment) -> None:
    with pytest.raises(UserError, match=r"pong: games side by side take the options .* and not .*'obs_type': 'rgb'"):
        vector(environment.varied({"obs_type": "rgb"}), 2)
    with pytest.raises(UserError, match=r"and not .*'difficulty': 1"):
        vector(environment.varied({"difficulty": 1}), 2)

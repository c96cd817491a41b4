"""The quicker game is gymnasium's own: the same frames, rewards and ends."""

from __future__ import annotations

import numpy as np
import pytest

from components.datasets.driving.game_reader import racing
from components.errors import UserError
from tests.components.labs.driving.made import environment


@pytest.mark.parametrize("seed", [3, 11])
def test_it_draws_and_pays_what_gymnasium_does(seed: int) -> None:
    """From the start, where the camera is far away, to after its zoom, on the road and beside it."""
    described = environment()
    theirs, ours, draw = described.make(), racing(described), np.random.default_rng(seed)
    frame, _ = theirs.reset(seed=seed)
    ours.start(seed)
    over = False
    while not over:
        assert np.array_equal(ours.frame(), frame)
        action, reward = np.array([draw.uniform(-0.6, 0.6), 0.8, 0.0]), 0.0
        for _ in range(4):
            frame, step_reward, terminated, truncated, _ = theirs.step(action)
            reward += float(step_reward)
        paid, over = ours.hold(action, 4)
        assert paid == pytest.approx(reward)
        assert over == (terminated or truncated)
    assert ours.frames == 100
    assert np.array_equal(ours.frame(), frame)


def test_leaving_the_field_ends_the_episode_as_it_does_in_gymnasium() -> None:
    described = environment(frames=1000)
    theirs, ours = described.make(), racing(described)
    theirs.reset(seed=1)
    theirs.unwrapped._render = lambda mode: None  # type: ignore[attr-defined] # its frames are not looked at
    ours.start(1)
    total, ended, action = 0.0, False, np.array([0.02, 1.0, 0.0])
    while not ended:
        _, reward, terminated, truncated, _ = theirs.step(action)
        total, ended = total + float(reward), bool(terminated or truncated)
    paid, over = ours.hold(action, 1000)
    assert over
    assert paid == pytest.approx(total)


def test_another_game_is_refused() -> None:
    described = environment()
    with pytest.raises(UserError, match="is learnt in CarRacing-v3"):
        racing(described.model_copy(update={"id": "CartPole-v1"}))
    with pytest.raises(UserError, match="without options and wrappers"):
        racing(described.model_copy(update={"options": {"domain_randomize": True}}))
    with pytest.raises(UserError, match="has no time limit"):
        racing(described.model_copy(update={"max_steps": None}))

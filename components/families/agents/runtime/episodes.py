"""Episodes of a policy in gymnasium's own games, with disturbances where they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from components.datasets.environments.reader import Environment

Act = Callable[[np.ndarray], tuple[int, np.ndarray | None]]
"""An observation to an action and, where the policy has them, the probabilities (actions,)."""


class Moment(NamedTuple):
    """One step of an episode. observation: what the game showed before it; picture: so, too, (H, W, 3).

    action: one of several, by its number, or real numbers.
    """

    step: int
    observation: np.ndarray
    action: int | tuple[float, ...]
    probabilities: np.ndarray | None
    reward: float
    total: float
    done: bool
    picture: np.ndarray | None


class Disturbance(NamedTuple):
    """What comes between a game and its player.

    noise: standard deviation of what is added to each number, (…) or 0. delay: steps by which observations come late.
    """

    noise: np.ndarray | float = 0.0
    delay: int = 0
    seed: int = 0


def play(
    environment: Environment,
    act: Act,
    seed: int,
    disturbance: Disturbance | None = None,
    render: bool = False,
    **options: Any,
) -> Iterator[Moment]:
    """Plays the episode of a seed to its end. options: as `Environment.make` takes them."""
    game = environment.make(render=render, **options)
    try:
        observation, _ = game.reset(seed=seed)
        seen = _Disturbed(disturbance or Disturbance(), seed)
        total, done, step = 0.0, False, 0
        while not done:
            picture = np.asarray(game.render()) if render else None
            shown = np.asarray(observation)
            action, probabilities = act(seen(shown))
            observation, reward, terminated, truncated, _ = game.step(action)
            total, done = total + float(reward), bool(terminated or truncated)
            yield Moment(step, shown, action, probabilities, float(reward), total, done, picture)
            step += 1
    finally:
        game.close()


class _Disturbed:
    """What a player sees of what a game shows."""

    def __init__(self, disturbance: Disturbance, seed: int) -> None:
        self.noise = disturbance.noise
        self.late: deque[np.ndarray] = deque(maxlen=disturbance.delay + 1)
        self.draw = np.random.RandomState((disturbance.seed * 1_000_003 + seed) % 2**32)

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        self.late.append(observation)
        found = self.late[0]
        if not np.any(self.noise):
            return found
        moved = found + self.noise * self.draw.standard_normal(found.shape)
        if found.dtype == np.uint8:
            moved = np.rint(np.clip(moved, 0, 255))
        return moved.astype(found.dtype)

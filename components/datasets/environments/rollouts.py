"""Episodes of a known policy, and what is recorded of each: its length, its return, and a hash of all that was seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from components.datasets.environments.reader import SPLITS, Environment

if TYPE_CHECKING:
    import gymnasium

Act = Callable[[Any], Any]
"""An observation to an action."""
Policies = Mapping[str, Callable[["gymnasium.Env[Any, Any]", int], Act]]
"""By name: the policy of a game and a seed. It may look inside the game, as a privileged expert does."""


class Episode(BaseModel):
    """A recorded episode. digest: sha256 of every observation, reward and end, in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: str
    split: str
    seed: int
    steps: int
    total: float
    """The return: the sum of all rewards."""
    terminated: bool
    truncated: bool
    lowest: float
    highest: float
    """Smallest and largest number in all observations."""
    not_numbers: int
    """Observed values that are NaN or infinite."""
    digest: str


def random_policy(game: gymnasium.Env[Any, Any], seed: int) -> Act:
    """Every action with equal probability; real numbers evenly from their range."""
    import gymnasium

    draw = np.random.RandomState(seed)  # numpy keeps this generator's numbers the same in every version
    space = game.action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        return lambda _: int(draw.randint(int(space.n)))
    assert isinstance(space, gymnasium.spaces.Box)  # noqa: S101 - the two kinds there are here
    return lambda _: (space.low + draw.random_sample(space.shape) * (space.high - space.low)).astype(space.dtype)


def play(environment: Environment, policies: Policies, name: str, split: str, index: int) -> Episode:
    """Plays episode `index` of a split to its end."""
    seed, game = environment.seed(split, index), environment.make()
    act = policies[name](game, seed)
    observation, _ = game.reset(seed=seed)
    seen, total, steps = _Seen(), 0.0, 0
    seen.add(observation, 0.0)
    terminated = truncated = False
    while not (terminated or truncated):
        observation, reward, terminated, truncated, _ = game.step(act(observation))
        seen.add(observation, float(reward))
        total, steps = total + float(reward), steps + 1
    game.close()
    return Episode(
        policy=name,
        split=split,
        seed=seed,
        steps=steps,
        total=total,
        terminated=bool(terminated),
        truncated=bool(truncated),
        lowest=seen.lowest,
        highest=seen.highest,
        not_numbers=seen.not_numbers,
        digest=seen.hash.hexdigest(),
    )


def reference_rollouts(environment: Environment, policies: Policies, count: int) -> list[Episode]:
    """`count` episodes of each policy in each split."""
    return [
        play(environment, policies, name, split, index)
        for name in policies
        for split in SPLITS
        for index in range(count)
    ]


class _Seen:
    """What of an episode is recorded of its observations."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.lowest, self.highest, self.not_numbers = float("inf"), float("-inf"), 0

    def add(self, observation: Any, reward: float) -> None:
        array = np.ascontiguousarray(observation)
        self.hash.update(array.tobytes())
        self.hash.update(np.float64(reward).tobytes())
        self.lowest = min(self.lowest, float(array.min()))
        self.highest = max(self.highest, float(array.max()))
        self.not_numbers += int((~np.isfinite(array)).sum())

"""Games side by side in which an agent learns, and the returns of the episodes that it finishes there."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from components.datasets.environments.reader import Environment
from components.datasets.environments.vector_reader import vector


class Step(NamedTuple):
    """What happened in each of B games. Where `valid` is 0 the game was being reset, and nothing happened.

    observations, following: (B, size), what was seen before and after; of a game that ended the last that it showed.
    The others: (B,) float32, but actions (B,) int64. done: terminated, or cut off by the time limit.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    following: Tensor
    terminated: Tensor
    done: Tensor
    valid: Tensor


See = Callable[[Tensor], Tensor]


class Games:
    """`count` games of an environment side by side. They are played on the CPU; their tensors are on `device`."""

    def __init__(self, environment: Environment, count: int, see: See = Tensor.float) -> None:
        """see: raw observations (B, ...) to what is learnt from (B, size)."""
        self.environment, self.count, self.see = environment, count, see
        self._games = vector(environment, count)
        self.device = torch.device("cpu")
        self.observations = torch.zeros(0)
        self.finished: list[float] = []
        """Returns of the episodes that ended since `begin`."""
        self.played = 0
        """Steps of all games since `begin`, without resets."""

    def begin(self, split: str, index: int, device: torch.device | None = None) -> None:
        """Starts all games anew, from seeds of a split: those from `index` on, counted around."""
        first, last = self.environment.seeds[split]
        start = index % max(1, last - first + 2 - self.count)
        observations, _ = self._games.reset(seed=self.environment.seed(split, start))
        self.device = device or self.device
        self.observations = self._seen(observations)
        self.finished, self.played = [], 0
        self._resetting = np.zeros(self.count, bool)
        self._totals = np.zeros(self.count, np.float32)

    def step(self, actions: Tensor) -> Step:
        """Takes an action (B,) int64 in each game."""
        found, rewards, terminated, truncated, _ = self._games.step(actions.cpu().numpy())
        observations, valid = self.observations, ~self._resetting
        self.observations = self._seen(found)
        done = np.asarray(terminated, bool) | np.asarray(truncated, bool)
        gained = np.asarray(rewards, np.float32) * valid
        self.played += int(valid.sum())
        self._totals += gained
        if done.any():
            self.finished += self._totals[done].tolist()
            self._totals[done] = 0.0
        self._resetting = done
        # One tensor for the four: what torch takes to make a small one is most of a step's time.
        reward, ended, over, counted = self._tensor(np.array([gained, terminated, done, valid], np.float32)).unbind()
        return Step(observations, actions, reward, self.observations, ended, over, counted)

    @torch.no_grad()
    def _seen(self, observations: np.ndarray) -> Tensor:
        return self.see(self._tensor(np.array(observations)))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    @property
    def mean_return(self) -> float:
        """Mean return of the episodes that ended, or, where none did, of those under way."""
        return float(np.mean(self.finished)) if self.finished else float(self._totals.mean())


def first_episodes(games: Games, act: Callable[[Tensor], Tensor]) -> list[float]:
    """The return of one whole episode in each game: never the first to finish, of which short ones would be more.

    act: observations (B, ...) to actions (B,). The games must have begun.
    """
    totals, running = torch.zeros(games.count, device=games.device), torch.ones(games.count, device=games.device)
    while running.any():
        step = games.step(act(games.observations))
        totals += step.rewards * running
        running *= 1 - step.done
    return [float(total) for total in totals]

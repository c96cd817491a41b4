"""Others that learn the games of the agents' labs: the course's loop, and Stable-Baselines3's PPO."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from components.datasets.environments.reader import Environment
from components.families.agents.training.games import Games, first_episodes

JUDGED = 20
"""Validation episodes of a judgement."""


class Goal(NamedTuple):
    """When a mean return was reached. seconds, cpu_seconds: of training, judging left out."""

    goal: float
    steps: int
    seconds: float
    cpu_seconds: float


class Progress:
    """Time of one side's training and the goals that it reached; the clock stands while it is judged."""

    def __init__(self, environment: Environment, goals: Sequence[float]) -> None:
        self.goals, self.steps, self.last = goals, 0, 0.0
        self.seconds = self.cpu = 0.0
        self.reached: list[Goal] = []
        self._games = Games(environment, JUDGED)
        self._since: tuple[float, float] | None = None

    @property
    def over(self) -> bool:
        return len(self.reached) == len(self.goals)

    def go(self) -> None:
        self._since = time.monotonic(), time.process_time()

    def stop(self) -> None:
        """Twice is as once."""
        if self._since is not None:
            self.seconds += time.monotonic() - self._since[0]
            self.cpu += time.process_time() - self._since[1]
        self._since = None

    def judge(self, steps: int, act: Callable[[Tensor], Tensor]) -> bool:
        """Plays by the best actions after so many steps; says whether all goals are reached. act: as in `Games`."""
        self.stop()
        self.steps = steps
        self._games.begin("validation", 0)
        with torch.no_grad():
            self.last = statistics.mean(first_episodes(self._games, act))
        for goal in self.goals[len(self.reached) :]:
            if self.last < goal:
                break
            self.reached.append(Goal(goal, steps, self.seconds, self.cpu))
        self.go()
        return self.over

    def figures(self) -> dict[str, Any]:
        """Goals that were reached, and of the whole training: steps, seconds, and how many in a second."""
        self.stop()
        return {
            "reached": [goal._asdict() for goal in self.reached],
            "last_return": self.last,
            "steps": self.steps,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu,
            "steps_per_cpu_second": self.steps / self.cpu,
        }


COURSE = {"hidden": 32, "discount": 0.95, "learning_rate": 1e-3, "episodes": 500}


def course_cartpole(environment: Environment, seed: int, progress: Progress, every: int) -> None:
    """REINFORCE as the notebook writes it: an episode, its normalised discounted rewards, one step of Adam."""
    torch.manual_seed(seed)
    hidden, game = int(COURSE["hidden"]), environment.make()
    network = nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, 2))
    optimizer = torch.optim.Adam(network.parameters(), lr=COURSE["learning_rate"])
    steps = judged = 0
    progress.go()
    for episode in range(int(COURSE["episodes"])):
        observations, actions, rewards = _episode(game, network, environment.seed("train", episode))
        losses = nn.functional.cross_entropy(network(observations), actions, reduction="none")
        optimizer.zero_grad()
        (losses * _normalised(rewards)).mean().backward()
        optimizer.step()
        steps += len(rewards)
        if steps - judged >= every or episode + 1 == COURSE["episodes"]:
            judged = steps
            if progress.judge(steps, lambda seen: network(seen).argmax(1)):
                return


def _normalised(rewards: list[float]) -> Tensor:
    """Discounted sums of the rewards from each step on (steps,), with mean 0 and deviation 1."""
    gains, total = np.zeros(len(rewards), np.float32), 0.0
    for step in reversed(range(len(rewards))):
        total = total * COURSE["discount"] + rewards[step]
        gains[step] = total
    return torch.from_numpy((gains - gains.mean()) / (gains.std() + 1e-8))


def _episode(game: Any, network: nn.Module, seed: int) -> tuple[Tensor, Tensor, list[float]]:
    observation, _ = game.reset(seed=seed)
    observations, actions, rewards, done = list[Tensor](), list[int](), list[float](), False
    while not done:
        seen = torch.from_numpy(np.asarray(observation))
        with torch.no_grad():
            action = int(torch.multinomial(network(seen[None]).softmax(1), 1))
        observations.append(seen)
        actions.append(action)
        observation, reward, terminated, truncated, _ = game.step(action)
        rewards.append(float(reward))
        done = terminated or truncated
    return torch.stack(observations), torch.tensor(actions), rewards


class Zoo(NamedTuple):
    """What RL Baselines3 Zoo sets for a game. learning_rate, clip_range: at the start; both fall linearly to zero."""

    policy: str
    games: int
    steps: int
    learning_rate: float
    clip_range: float
    others: dict[str, Any]


ZOO_CARTPOLE = Zoo(
    "MlpPolicy",
    8,
    100_000,
    0.001,
    0.2,
    {"n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98, "n_epochs": 20, "ent_coef": 0.0},
)


def stable_baselines(environment: Environment, seed: int, progress: Progress, every: int, zoo: Zoo) -> None:
    """Stable-Baselines3's PPO in the dataset's own games, wrappers included, with the Zoo's settings."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    class Judge(BaseCallback):
        def _on_step(self) -> bool:
            policy: Any = self.model.policy
            if self.num_timesteps % every:
                return True
            return not progress.judge(self.num_timesteps, lambda seen: policy.get_distribution(seen).mode())

    def falling(highest: float) -> Callable[[float], float]:
        return lambda left: left * highest

    games = make_vec_env(environment.make, zoo.games, seed=seed)
    progress.go()
    rates: dict[str, Any] = {"learning_rate": falling(zoo.learning_rate), "clip_range": falling(zoo.clip_range)}
    PPO(zoo.policy, games, seed=seed, device="cpu", **rates, **zoo.others).learn(zoo.steps, callback=Judge())

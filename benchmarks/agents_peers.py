"""Others that learn the games of the agents' labs: the course's loop, and Stable-Baselines3's PPO."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from components.datasets.environments.reader import Environment
from components.families.agents.training.games import Games, first_episodes

log = logging.getLogger("benchmarks")


class Goal(NamedTuple):
    """When a mean return was reached. seconds, cpu_seconds: of training up to then, judging left out."""

    goal: float
    steps: int
    seconds: float
    cpu_seconds: float


class Progress:
    """Time of one side's training and the goals that it reached; the clock stands while it is judged."""

    def __init__(self, environment: Environment, goals: Sequence[float], judged: int, limit: float) -> None:
        """judged: validation episodes of a judgement.  limit: seconds of processor time after which training ends."""
        self.environment, self.goals, self.limit, self.steps = environment, goals, limit, 0
        self.judged = judged
        self.seconds = self.cpu = 0.0
        self.reached: list[Goal] = []
        self.curve: list[Goal] = []
        """Each judgement: the mean return, and when it was reached."""
        self._games: Games | None = None
        self._since: tuple[float, float] | None = None

    @property
    def over(self) -> bool:
        return len(self.reached) == len(self.goals) or self.cpu >= self.limit

    def due(self, steps: int, every: int) -> bool:
        """Whether it is to be judged: `every` steps after the last time, or when its time is over."""
        running = time.process_time() - self._since[1] if self._since else 0.0
        return steps - self.steps >= every or self.cpu + running >= self.limit

    def go(self) -> None:
        self._since = time.monotonic(), time.process_time()

    def stop(self) -> None:
        """Twice is as once."""
        if self._since is not None:
            self.seconds += time.monotonic() - self._since[0]
            self.cpu += time.process_time() - self._since[1]
        self._since = None

    def judge(self, steps: int, act: Callable[[Tensor], Tensor]) -> bool:
        """Plays by the best actions after so many steps; says whether training ends.

        act: raw observations (B, ...), as the environment gives them, to actions (B,).
        """
        self.stop()
        self.steps = steps
        self._games = self._games or Games(self.environment, self.judged, lambda raw: raw)
        self._games.begin("validation", 0)
        with torch.no_grad():
            found = statistics.mean(first_episodes(self._games, act))
        self.curve.append(Goal(found, steps, self.seconds, self.cpu))
        for goal in self.goals[len(self.reached) :]:
            if found < goal:
                break
            self.reached.append(Goal(goal, steps, self.seconds, self.cpu))
        log.info("%d steps, %.0f s of processor time: mean return %.1f", steps, self.cpu, found)
        self.go()
        return self.over

    def figures(self) -> dict[str, Any]:
        """Goals that were reached, the curve, and of the whole training: steps, seconds, and how many in a second."""
        self.stop()
        return {
            "reached": [goal._asdict() for goal in self.reached],
            "curve": [goal._asdict() for goal in self.curve],
            "last_return": self.curve[-1].goal,
            "steps": self.steps,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu,
            "steps_per_cpu_second": self.steps / self.cpu,
        }


class Course(NamedTuple):
    """What the course's notebook sets: REINFORCE without a baseline, one episode for each step of Adam.

    point_ends: a reward ends what earlier actions are rewarded for.  episodes: after which it stops.
    """

    discount: float
    point_ends: bool
    episodes: int
    network: Callable[[int], nn.Module]
    see: Callable[[Tensor], Tensor]


def course_loop(environment: Environment, seed: int, progress: Progress, every: int, course: Course) -> None:
    """REINFORCE as the notebook writes it: an episode, its normalised discounted rewards, one step of Adam at 1e-3."""
    torch.manual_seed(seed)
    network, game = course.network(environment.action_count), environment.make()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    steps = 0
    progress.go()
    for episode in range(course.episodes):
        observations, actions, rewards = _episode(game, network, environment.seed("train", episode), course)
        losses = nn.functional.cross_entropy(network(observations), actions, reduction="none")
        optimizer.zero_grad()
        (losses * _normalised(rewards, course)).mean().backward()
        optimizer.step()
        steps += len(rewards)
        last = episode + 1 == course.episodes
        if (progress.due(steps, every) or last) and progress.judge(
            steps, lambda raw: network(course.see(raw)).argmax(1)
        ):
            return


def _normalised(rewards: list[float], course: Course) -> Tensor:
    """Discounted sums of the rewards from each step on (steps,), with mean 0 and deviation 1."""
    gains, total = np.zeros(len(rewards), np.float32), 0.0
    for step in reversed(range(len(rewards))):
        if course.point_ends and rewards[step]:
            total = 0.0
        total = total * course.discount + rewards[step]
        gains[step] = total
    return torch.from_numpy((gains - gains.mean()) / (gains.std() + 1e-8))


def _episode(game: Any, network: nn.Module, seed: int, course: Course) -> tuple[Tensor, Tensor, list[float]]:
    observation, _ = game.reset(seed=seed)
    observations, actions, rewards, done = list[Tensor](), list[int](), list[float](), False
    while not done:
        seen = course.see(torch.from_numpy(np.asarray(observation))[None])
        with torch.no_grad():
            action = int(torch.multinomial(network(seen).softmax(1), 1))
        observations.append(seen)
        actions.append(action)
        observation, reward, terminated, truncated, _ = game.step(action)
        rewards.append(float(reward))
        done = terminated or truncated
    return torch.cat(observations), torch.tensor(actions), rewards


def _dense(actions: int) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, actions))


def _convolutional(actions: int) -> nn.Module:
    """The notebook's network for frames of 40 x 40."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, stride=2), nn.ReLU(), nn.Conv2d(32, 48, 5, stride=2), nn.ReLU(),
        nn.Conv2d(48, 64, 3, stride=2), nn.ReLU(), nn.Conv2d(64, 64, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, actions),
    )  # fmt: skip


PONG_FIELD = 87
"""Grey level of Pong's field."""


def frame_difference(frames: Tensor) -> Tensor:
    """(B, 1, 40, 40) of grey frames (B, 2, 210, 160): what is no background, in this frame less in the one before."""
    there = (frames[:, :, 35:195:4, ::4] != PONG_FIELD).float()
    return there[:, 1:] - there[:, :1]


COURSE_CARTPOLE = Course(0.95, False, 500, _dense, Tensor.float)
COURSE_PONG = Course(0.99, True, 1_000_000, _convolutional, frame_difference)


class Zoo(NamedTuple):
    """What RL Baselines3 Zoo sets for a game. learning_rate, clip_range: at the start; both fall linearly to zero.

    pixels: side and number of the frames that it sees; None for what the dataset's game shows.
    """

    policy: str
    games: int
    steps: int
    learning_rate: float
    clip_range: float
    others: dict[str, Any]
    pixels: tuple[int, int] | None = None


ZOO_CARTPOLE = Zoo(
    "MlpPolicy",
    8,
    100_000,
    0.001,
    0.2,
    {"n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98, "n_epochs": 20, "ent_coef": 0.0},
)
ZOO_PONG = Zoo(
    "CnnPolicy",
    8,
    10_000_000,
    2.5e-4,
    0.1,
    {"n_steps": 128, "batch_size": 256, "n_epochs": 4, "ent_coef": 0.01, "vf_coef": 0.5},
    (84, 4),
)


def seen_by(environment: Environment, zoo: Zoo) -> Environment:
    """The same game with the frames that the Zoo's agent sees."""
    if zoo.pixels is None:
        return environment
    side, stack = zoo.pixels
    (name, pictures), (stacked, _) = environment.wrappers
    wrappers = ((name, {**pictures, "screen_size": [side, side]}), (stacked, {"stack_size": stack}))
    return environment.model_copy(update={"wrappers": wrappers, "observation_shape": (stack, side, side)})


def stable_baselines(environment: Environment, seed: int, progress: Progress, every: int, zoo: Zoo) -> None:
    """Stable-Baselines3's PPO in the dataset's own games with the Zoo's settings.

    environment: as `seen_by` gives it, in which `progress` judges, too.
    """
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    class Judge(BaseCallback):
        def _on_step(self) -> bool:
            policy: Any = self.model.policy
            if not progress.due(self.num_timesteps, every):
                return True
            return not progress.judge(self.num_timesteps, lambda raw: policy.get_distribution(raw).mode())

    def falling(highest: float) -> Callable[[float], float]:
        return lambda left: left * highest

    games = make_vec_env(environment.make, zoo.games, seed=seed)
    progress.go()
    rates: dict[str, Any] = {"learning_rate": falling(zoo.learning_rate), "clip_range": falling(zoo.clip_range)}
    PPO(zoo.policy, games, seed=seed, device="cpu", **rates, **zoo.others).learn(zoo.steps, callback=Judge())

"""How soon CartPole is learnt, against the course's loop and Stable-Baselines3: `python -m benchmarks.agents`.

Every side learns until its best actions reach a mean return of 475 over 20 episodes, or until its steps are over. Times
are of training: what the judging takes is not counted, for our side either. All sides run in the same process, one
after the other, on as many threads as torch is given. Ours is what the step train runs, Lightning and checkpoints
included. The course's is its notebook's: a dense layer of 32, REINFORCE without a baseline, discount .95, an update
after each of 500 episodes. Stable-Baselines3 has RL Baselines3 Zoo's settings for CartPole-v1.

Also environment steps per second, returns of the exported policy over several seeds of training, and how long a
decision takes. Stable-Baselines3 is in the extra `bench`.
"""

from __future__ import annotations

import argparse
import logging
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from torch import nn

from benchmarks.generation import processor
from components.bundle import Bundle, write_bundle
from components.datasets.environments.reader import Environment
from components.families.agents.evaluation.evaluate import acting, returns_of
from components.families.agents.export import export
from components.families.agents.params import Train
from components.families.agents.runtime.policy import Policy
from components.families.agents.training.agent import Agent
from components.families.agents.training.games import Games, first_episodes
from components.files import write_json
from components.labs import Inputs, find
from components.params import load
from components.records import Provenance
from components.training.trainer import fit

ROOT = Path(__file__).resolve().parent.parent
GOAL = 475.0
JUDGED = 20
"""Episodes of a judgement."""
COURSE = {"hidden": 32, "discount": 0.95, "learning_rate": 1e-3, "episodes": 500, "every": 25}
ZOO: dict[str, Any] = {
    "n_steps": 32,
    "batch_size": 256,
    "gae_lambda": 0.8,
    "gamma": 0.98,
    "n_epochs": 20,
    "ent_coef": 0.0,
}
ZOO_GAMES, ZOO_STEPS, ZOO_EVERY = 8, 100_000, 4096
UNKNOWN = Provenance(
    git_commit="", git_dirty=True, data_version="", data_profile="course", params_hash="", code_hash=""
)

log = logging.getLogger("benchmarks")


class Learnt(NamedTuple):
    """seconds, cpu_seconds: of training until the goal, or until the end. goal: whether it was reached."""

    goal: bool
    seconds: float
    cpu_seconds: float
    steps: int
    last_return: float


class Watch:
    """Time of training, without that of judging."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0
        self.go()

    def go(self) -> None:
        self._since = time.monotonic(), time.process_time()

    def stop(self) -> None:
        self.seconds += time.monotonic() - self._since[0]
        self.cpu += time.process_time() - self._since[1]


class ReachedError(Exception):
    """The goal is reached."""


def judged(environment: Environment, act: Callable[[torch.Tensor], torch.Tensor]) -> float:
    """Mean return of the best actions over validation episodes."""
    games = Games(environment, JUDGED)
    games.begin("validation", 0)
    with torch.no_grad():
        return statistics.mean(first_episodes(games, act))


def ours(inputs: Inputs, params: Train) -> Learnt:
    """The step train's own loop; it is judged at the end of every epoch instead of its validation."""
    environment, watch, found = Environment.read(inputs.prepared), Watch(), [0.0]
    validation = Agent.validation_step

    def judge(agent: Agent, batch: torch.Tensor, index: int) -> None:
        watch.stop()
        found.append(judged(environment, agent.greedy))
        agent.log_dict({"val_score": found[-1], "val_return": found[-1]}, batch_size=1)
        if found[-1] >= GOAL:
            raise ReachedError
        watch.go()

    Agent.validation_step = judge  # type: ignore[method-assign, assignment]
    try:
        with TemporaryDirectory() as folder:
            fit(find("cartpole"), params, inputs, Path(folder))
    except ReachedError:
        pass
    finally:
        Agent.validation_step = validation  # type: ignore[method-assign]
    epochs, chosen = len(found) - 1, params.chosen
    steps = epochs * chosen.updates * chosen.games * getattr(chosen, "steps", 0)
    return Learnt(found[-1] >= GOAL, watch.seconds, watch.cpu, steps, found[-1])


def course(inputs: Inputs, seed: int) -> Learnt:
    """REINFORCE as the notebook writes it: an episode, its normalised discounted rewards, one step of Adam."""
    torch.manual_seed(seed)
    environment, watch = Environment.read(inputs.prepared), Watch()
    game = environment.make()
    network = nn.Sequential(nn.Linear(4, int(COURSE["hidden"])), nn.ReLU(), nn.Linear(int(COURSE["hidden"]), 2))
    optimizer = torch.optim.Adam(network.parameters(), lr=COURSE["learning_rate"])
    steps, last = 0, 0.0
    for episode in range(int(COURSE["episodes"])):
        observations, actions, rewards = _course_episode(game, network, environment.seed("train", episode))
        gains = np.zeros(len(rewards), np.float32)
        total = 0.0
        for step in reversed(range(len(rewards))):
            total = total * COURSE["discount"] + rewards[step]
            gains[step] = total
        gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        losses = nn.functional.cross_entropy(network(observations), actions, reduction="none")
        optimizer.zero_grad()
        (losses * torch.from_numpy(gains)).mean().backward()
        optimizer.step()
        steps += len(rewards)
        if (episode + 1) % int(COURSE["every"]) == 0:
            watch.stop()
            last = judged(environment, lambda seen: network(seen).argmax(1))
            watch.go()
            if last >= GOAL:
                break
    watch.stop()
    return Learnt(last >= GOAL, watch.seconds, watch.cpu, steps, last)


def _course_episode(game: Any, network: nn.Module, seed: int) -> tuple[torch.Tensor, torch.Tensor, list[float]]:
    observation, _ = game.reset(seed=seed)
    observations, actions, rewards, done = [], [], list[float](), False
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


def stable_baselines(inputs: Inputs, seed: int) -> Learnt:
    """Stable-Baselines3's PPO with RL Baselines3 Zoo's settings."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    environment, watch, found = Environment.read(inputs.prepared), Watch(), [0.0]

    class Judge(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps % ZOO_EVERY == 0:
                watch.stop()
                policy: Any = self.model.policy
                found.append(judged(environment, lambda seen: policy.get_distribution(seen).mode()))
                watch.go()
            return found[-1] < GOAL

    games = make_vec_env(environment.id, ZOO_GAMES, seed=seed)

    def falling(highest: float) -> Callable[[float], float]:
        return lambda left: left * highest

    watch.go()
    model = PPO(
        "MlpPolicy", games, seed=seed, device="cpu", learning_rate=falling(0.001), clip_range=falling(0.2), **ZOO
    )
    model.learn(ZOO_STEPS, callback=Judge())
    watch.stop()
    return Learnt(found[-1] >= GOAL, watch.seconds, watch.cpu, model.num_timesteps, found[-1])


def exported_returns(inputs: Inputs, params: Train, episodes: int) -> tuple[dict[str, float], list[float]]:
    """Trains to the end, exports, plays `episodes` test episodes. Returns figures, and milliseconds of decisions."""
    lab = find("cartpole")
    started, cpu = time.monotonic(), time.process_time()
    with TemporaryDirectory() as name:
        folder = Path(name)
        finished = fit(lab, params, inputs, folder / "train")
        took, used = time.monotonic() - started, time.process_time() - cpu
        agent: Any = lab.module(inputs, params)
        agent.load_state_dict(torch.load(folder / "train" / finished.best, weights_only=True)["state_dict"])
        out = folder / "export"
        out.mkdir()
        environment = Environment.read(inputs.prepared)
        section: Any = load(lab, ROOT / "params.yaml").export
        spec = export(agent, environment, out, section.model_copy(update={"film_steps": 1, "film_pictures": 1}))
        write_bundle(out, "cartpole", spec, UNKNOWN)
        policy = Policy.load(Bundle.open(out))
    returns = returns_of(environment, acting(policy), episodes)
    figures = {"mean": float(returns.mean()), "min": float(returns.min()), "seconds": took, "cpu_seconds": used}
    return figures, _decisions(policy)


def _decisions(policy: Policy, count: int = 5000) -> list[float]:
    """Milliseconds of one decision for one observation."""
    seen = np.random.default_rng(0).normal(size=(count, 1, *policy.shape)).astype(policy.dtype)
    times = []
    for observation in seen:
        began = time.perf_counter()
        policy(observation)
        times.append(1000 * (time.perf_counter() - began))
    return times


def step_rates(inputs: Inputs, seconds: float) -> dict[str, float]:
    """Environment steps per second: games side by side as training plays them, and one of gymnasium's."""
    environment = Environment.read(inputs.prepared)
    games, actions, steps = Games(environment, 8), torch.ones(8, dtype=torch.int64), 0
    games.begin("train", 0)
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        games.step(actions)
        steps += 8
    side_by_side = steps / (time.monotonic() - began)
    game, steps, done = gymnasium.make(environment.id), 0, True
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if done:
            game.reset(seed=steps)
        _, _, terminated, truncated, _ = game.step(1)
        done, steps = terminated or truncated, steps + 1
    return {"games_side_by_side": side_by_side, "gymnasium": steps / (time.monotonic() - began)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prepared", type=Path, default=ROOT / "build" / "cartpole" / "prepare")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "agents.json")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=100, help="test episodes of each seed's exported policy")
    parser.add_argument("--threads", type=int, default=1, help="of torch, for all sides")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    torch.set_num_threads(options.threads)
    inputs, params = Inputs(options.prepared), load(find("cartpole"), ROOT / "params.yaml").train
    assert isinstance(params, Train)
    result: dict[str, Any] = {"goal": GOAL, "threads": options.threads, "steps_per_second": step_rates(inputs, 3.0)}
    sides: dict[str, list[Learnt]] = {"ours": [], "course": [], "stable_baselines3": []}
    for seed in range(1, options.seeds + 1):
        sides["ours"].append(ours(inputs, params.model_copy(update={"seed": seed})))
        sides["course"].append(course(inputs, seed))
        sides["stable_baselines3"].append(stable_baselines(inputs, seed))
        for name, found in sides.items():
            log.info("seed %d, %s: %s", seed, name, found[-1])
    result["to_goal"] = {name: [each._asdict() for each in found] for name, found in sides.items()}
    result["median_cpu_seconds"] = {
        name: statistics.median(each.cpu_seconds for each in found) for name, found in sides.items()
    }
    whole = []
    for seed in range(1, options.seeds + 1):
        figures, times = exported_returns(inputs, params.model_copy(update={"seed": seed}), options.episodes)
        whole.append(figures)
        log.info("seed %d, exported: %s", seed, figures)
    result["exported"] = whole
    result["decision_ms"] = {"p50": float(np.percentile(times, 50)), "p99": float(np.percentile(times, 99))}
    result["machine"] = {"processor": processor(), "torch": torch.__version__, "python": platform.python_version()}
    write_json(options.out, result)
    log.info("wrote %s: %s, %s", options.out, result["median_cpu_seconds"], result["decision_ms"])


if __name__ == "__main__":
    main()

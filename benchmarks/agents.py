"""How soon a game is learnt, against the course's loop and Stable-Baselines3: `python -m benchmarks.agents`.

Every side learns until its best actions reach the last goal, a mean return over validation episodes, or until its steps
or the limit of processor time (--limit) are over; then the curve says where it stood. It is judged about as often, and
what judging takes is not counted. All sides run in the same process, one after the other, on as many threads as torch
is given. Ours is what the step train runs, Lightning and checkpoints included, but for its validation; in CartPole both
PPO, the default, and REINFORCE, which is the course's algorithm.

CartPole: the course's is its notebook's: a dense layer of 32, REINFORCE without a baseline, discount .95, an update
after each of 500 episodes. Pong: the notebook's of 2021, which sees the difference of two frames of 40 x 40 and has
four convolutions, an update after each episode, here with the three actions that differ. Stable-Baselines3 has RL
Baselines3 Zoo's settings, for Pong from four frames of 84 x 84.

Also environment steps per second, returns of the exported policy over several seeds of training (--seeds, not with
--contest), and how long a decision takes. Stable-Baselines3 is in the extra `bench`.
"""

from __future__ import annotations

import argparse
import logging
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from benchmarks.agents_peers import (
    COURSE_CARTPOLE,
    COURSE_PONG,
    ZOO_CARTPOLE,
    ZOO_PONG,
    Course,
    Progress,
    Zoo,
    course_loop,
    seen_by,
    stable_baselines,
)
from benchmarks.driving import UNKNOWN, decisions
from benchmarks.generation import processor
from components.bundle import Bundle, write_bundle
from components.datasets.environments.reader import Environment
from components.families.agents.evaluation.evaluate import acting, returns_of
from components.families.agents.export import export
from components.families.agents.params import Train
from components.families.agents.runtime.policy import Policy
from components.families.agents.training.games import Games
from components.files import write_json
from components.labs import Inputs, Lab, find
from components.params import load
from components.training.trainer import fit

ROOT = Path(__file__).resolve().parent.parent
Side = Callable[[Environment, int, Progress, int], None]
"""Learns in an environment from a seed, and is judged every so many steps."""

log = logging.getLogger("benchmarks")


@dataclass(frozen=True)
class Contest:
    """goals: mean returns, the lowest first.  every: environment steps between two judgements.

    judged: validation episodes of a judgement.  algorithms: ours.
    """

    goals: tuple[float, ...]
    every: int
    judged: int
    zoo: Zoo
    course: Course
    algorithms: tuple[str, ...] = ("ppo",)


CONTESTS = {
    "cartpole": Contest((475.0,), 4096, 20, ZOO_CARTPOLE, COURSE_CARTPOLE, ("ppo", "reinforce")),
    "pong": Contest((0.0, 18.0), 100_000, 8, ZOO_PONG, COURSE_PONG),
}
"""By lab."""


class Judge(pl.Callback):
    """Judges the agent between its updates and ends the training with the last goal."""

    def __init__(self, progress: Progress, every: int) -> None:
        self.progress, self.every = progress, every

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.progress.go()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        played = pl_module.history.env_steps() + pl_module.games.played
        if not self.progress.over and self.progress.due(played, self.every):
            trainer.should_stop = self.progress.judge(played, lambda raw: pl_module.probabilities(raw).argmax(1))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.progress.stop()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.progress.over:
            self.progress.go()


def with_callback(lab: Lab, callback: pl.Callback) -> Lab:
    """The same lab, whose modules bring a callback."""
    kind: Any = type(lab)

    class Watched(kind):  # type: ignore[misc]
        def module(self, inputs: Inputs, params: Any) -> pl.LightningModule:
            made: pl.LightningModule = super().module(inputs, params)
            made.configure_callbacks = lambda: [callback]  # type: ignore[method-assign]
            return made

    watched: Lab = Watched()
    return watched


def ours(lab: Lab, inputs: Inputs, params: Train, progress: Progress, every: int) -> None:
    """The step train's own loop."""
    judge = Judge(progress, every)
    with TemporaryDirectory() as folder:
        fit(with_callback(lab, judge), params, inputs, Path(folder))


def exported(lab: Lab, inputs: Inputs, params: Train, episodes: int) -> tuple[dict[str, float], Policy]:
    """Trains to the end, exports, and plays `episodes` test episodes."""
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
        write_bundle(out, lab.name, spec, UNKNOWN)
        policy = Policy.load(Bundle.open(out))
    returns = returns_of(environment, acting(policy), episodes)
    return {"mean": float(returns.mean()), "min": float(returns.min()), "seconds": took, "cpu_seconds": used}, policy


def observed(environment: Environment, count: int = 100) -> list[np.ndarray]:
    """Observations (1, ...) of an episode that takes the first action again and again."""
    games, seen = Games(environment, 1), list[np.ndarray]()
    games.begin("validation", 0)
    for _ in range(count):
        seen.append(games.observations.numpy().copy())
        games.step(torch.zeros(1, dtype=torch.int64))
    return seen


def step_rates(environment: Environment, seconds: float, counts: Sequence[int] = (8, 32)) -> dict[str, float]:
    """Environment steps per second of processor time: so many games side by side as training plays them, and one."""
    found = {}
    for count in counts:
        games, actions, steps = Games(environment, count), torch.ones(count, dtype=torch.int64), 0
        games.begin("train", 0)
        began = time.process_time()
        while time.process_time() - began < seconds:
            games.step(actions)
            steps += count
        found[f"{count}_games_side_by_side"] = steps / (time.process_time() - began)
    game, steps, done = environment.make(), 0, True
    began = time.process_time()
    while time.process_time() - began < seconds:
        if done:
            game.reset(seed=steps)
        _, _, terminated, truncated, _ = game.step(1)
        done, steps = terminated or truncated, steps + 1
    return {**found, "gymnasium": steps / (time.process_time() - began)}


def contest(lab: Lab, inputs: Inputs, params: Train, seeds: int, limit: float) -> dict[str, list[dict[str, Any]]]:
    """Figures of each side, one of each seed."""
    environment, terms = Environment.read(inputs.prepared), CONTESTS[lab.name]

    def algorithm(name: str) -> tuple[Environment, Side]:
        chosen = params.model_copy(update={"algorithm": name})
        return environment, lambda _, seed, progress, every: ours(
            lab, inputs, chosen.model_copy(update={"seed": seed}), progress, every
        )

    sides: dict[str, tuple[Environment, Side]] = {
        **{f"ours_{name}": algorithm(name) for name in terms.algorithms},
        "stable_baselines3": (seen_by(environment, terms.zoo), partial(stable_baselines, zoo=terms.zoo)),
        "course": (environment, partial(course_loop, course=terms.course)),
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for seed in range(1, seeds + 1):
        for name, (seen, learn) in sides.items():
            log.info("seed %d, %s", seed, name)
            progress = Progress(seen, terms.goals, terms.judged, limit)
            learn(seen, seed, progress, terms.every)
            found[name].append(progress.figures())
            log.info("%s", {key: value for key, value in found[name][-1].items() if key != "curve"})
    return found


def summary(found: dict[str, list[dict[str, Any]]], goals: tuple[float, ...]) -> dict[str, Any]:
    """Medians over seeds of each side: steps per second of processor time, and seconds to each goal.

    A side that did not reach a goal has no time to it: the seeds that did are counted.
    """
    rows: dict[str, Any] = {}
    for name, runs in found.items():
        rows[name] = {
            "steps_per_cpu_second": statistics.median(run["steps_per_cpu_second"] for run in runs),
            "last_return": statistics.median(run["last_return"] for run in runs),
        }
        for place, goal in enumerate(goals):
            times = [run["reached"][place]["cpu_seconds"] for run in runs if len(run["reached"]) > place]
            rows[name][f"to_{goal:g}"] = {
                "seeds": len(times),
                "median_cpu_seconds": statistics.median(times) if times else None,
            }
    return rows


def trained_to_the_end(lab: Lab, inputs: Inputs, params: Train, seeds: int, episodes: int) -> dict[str, Any]:
    """Test returns of the exported policy of each seed, and how long its decisions take."""
    whole = []
    for seed in range(1, seeds + 1):
        figures, policy = exported(lab, inputs, params.model_copy(update={"seed": seed}), episodes)
        whole.append(figures)
        log.info("seed %d, exported: %s", seed, figures)
    return {"exported": whole, "decision_ms": decisions(policy, observed(Environment.read(inputs.prepared)))}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lab", nargs="?", default="cartpole", choices=sorted(CONTESTS))
    parser.add_argument("--prepared", type=Path, help="the dataset (default: build/<dataset>/prepare)")
    parser.add_argument("--out", type=Path, help="(default: benchmarks/results/agents-<lab>.json)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=100, help="test episodes of each seed's exported policy")
    parser.add_argument("--limit", type=float, default=1800.0, help="most seconds of processor time for each training")
    parser.add_argument("--contest", action="store_true", help="no trainings to the end, which are exported")
    parser.add_argument("--threads", type=int, default=1, help="of torch, for all sides")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    torch.set_num_threads(options.threads)
    lab = find(options.lab)
    inputs = Inputs(options.prepared or ROOT / "build" / lab.dataset / "prepare")
    params, environment = load(lab, ROOT / "params.yaml").train, Environment.read(inputs.prepared)
    assert isinstance(params, Train)
    found, measured = contest(lab, inputs, params, options.seeds, options.limit), dict[str, Any]()
    if not options.contest:
        measured = trained_to_the_end(lab, inputs, params, options.seeds, options.episodes)
    result = {
        "lab": lab.name,
        "threads": options.threads,
        "limit_cpu_seconds": options.limit,
        "environment_steps_per_cpu_second": step_rates(environment, 3.0),
        "summary": summary(found, CONTESTS[lab.name].goals),
        "runs": found,
        **measured,
        "machine": {"processor": processor(), "torch": torch.__version__, "python": platform.python_version()},
    }
    write_json(options.out or ROOT / "benchmarks" / "results" / f"agents-{lab.name}.json", result)
    log.info("%s, decision: %s", result["summary"], measured.get("decision_ms"))
    log.info("environment steps per second: %s", result["environment_steps_per_cpu_second"])


if __name__ == "__main__":
    main()

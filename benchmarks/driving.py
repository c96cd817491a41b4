"""How soon the driving network decides, and how soon frames are drawn: `python -m benchmarks.driving`.

Decisions are those of the exported bundle that lies in build/driving/export, each on frames of a real episode, one at a
time on one thread. Frames are drawn by gymnasium's own game and by the one that training uses, on the same track. A
visitor's drive costs what POST /play does for each action: two pictures, and what the network would do.
"""

from __future__ import annotations

import argparse
import logging
import platform
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.generation import processor
from components.bundle import Bundle
from components.datasets.driving.game_reader import racing
from components.datasets.environments.reader import Environment
from components.files import write_json
from components.labs.driving.runtime import Driver, DrivingPolicy
from components.records import Provenance
from serving.agents.games import DrivenGame, Games
from serving.agents.schemas import PlayRequest
from serving.core.schemas import Origin

ROOT = Path(__file__).resolve().parent.parent
DECISIONS = 2000
FIGURES = ("decision_ms", "cpu_ms_per_frame", "played_cpu_ms")

UNKNOWN = Provenance(
    git_commit="", git_dirty=True, data_version="", data_profile="course", params_hash="", code_hash=""
)
NOBODY = Origin(model_digest="", variant="", promoted=False, mlflow_run="", provenance=UNKNOWN)

log = logging.getLogger("benchmarks")


def decisions(decide: Callable[[np.ndarray], Any], observations: Sequence[np.ndarray]) -> dict[str, float]:
    """Milliseconds of one decision: by the clock, and of this thread's processor time, which other work delays less."""
    clock, cpu = list[float](), list[float]()
    for index in range(DECISIONS):
        began, used = time.perf_counter(), time.thread_time()
        decide(observations[index % len(observations)])
        cpu.append(1000 * (time.thread_time() - used))
        clock.append(1000 * (time.perf_counter() - began))
    return {
        f"{name}_p{share}": float(np.percentile(times, share))
        for name, times in (("clock", clock), ("cpu", cpu))
        for share in (50, 99)
    }


def episode(environment: Environment, policy: DrivingPolicy, seed: int) -> tuple[list[np.ndarray], float]:
    """Frames of every decision, and processor milliseconds for each frame of the game in training's game."""
    game, driver, frames, over = racing(environment), Driver(policy), list[np.ndarray](), False
    began = time.process_time()
    game.start(seed)
    while not over:
        frames.append(game.frame())
        _, over = game.hold(driver.decide(frames[-1]), policy.hold)
    return frames, 1000 * (time.process_time() - began) / game.frames


def plays(environment: Environment, policy: DrivingPolicy, seed: int) -> dict[str, float]:
    """Processor milliseconds of POST /play without HTTP: of one more action, and of a whole episode from its seed."""
    games, actions, times = Games(lambda start: DrivenGame(environment, policy, start), 1), list[Any](), list[float]()
    answer = games.play(PlayRequest(seed=seed), NOBODY)
    while not answer.ended:
        actions.append(answer.action)
        began = time.process_time()
        answer = games.play(PlayRequest(seed=seed, actions=actions), NOBODY)
        times.append(1000 * (time.process_time() - began))
    games.play(PlayRequest(seed=seed + 1), NOBODY)
    began = time.process_time()
    games.play(PlayRequest(seed=seed, actions=actions), NOBODY)
    return {"action": float(np.mean(times)), "whole_episode": 1000 * (time.process_time() - began)}


def stock(environment: Environment, seed: int, steps: int) -> float:
    """Processor milliseconds for each frame of gymnasium's own game, which draws all of them."""
    game = environment.make()
    game.reset(seed=seed)
    began = time.process_time()
    for _ in range(steps):
        game.step(np.array([0.0, 0.1, 0.0]))
    return 1000 * (time.process_time() - began) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "driving")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "driving.json")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    bundle = Bundle.open(options.build / "export", "driving")
    environment = Environment.read(options.build / "prepare")
    policies = {variant: DrivingPolicy.load(bundle, variant) for variant in bundle.spec["variants"]}
    seed = environment.seed("validation", 0)
    frames, quick = episode(environment, next(iter(policies.values())), seed)
    pairs = [np.stack([before, now])[None] for before, now in pairwise(frames)]
    result: dict[str, Any] = {
        "played_cpu_ms": plays(environment, next(iter(policies.values())), seed),
        "decision_ms": {variant: decisions(policy.act, pairs) for variant, policy in policies.items()},
        "cpu_ms_per_frame": {"training": quick, "gymnasium": stock(environment, seed, 300)},
        "kilobytes": {variant: (bundle.folder / f"{variant}.onnx").stat().st_size / 1000 for variant in policies},
        "machine": {"processor": processor(), "python": platform.python_version()},
    }
    write_json(options.out, result)
    log.info("wrote %s: %s", options.out, {name: result[name] for name in FIGURES})


if __name__ == "__main__":
    main()

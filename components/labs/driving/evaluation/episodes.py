"""Episodes of an exported driver: in gymnasium's own game, or sooner in one that draws only the frames it looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from components.datasets.driving.expert_reader import Expert
from components.datasets.driving.game_reader import Racing
from components.datasets.driving.params import Expert as ExpertParams
from components.datasets.environments.reader import Environment
from components.labs.driving.runtime import Driver, DrivingPolicy

Disturb = Callable[[np.ndarray], np.ndarray]
"""A frame (96, 96, 3) uint8 to what the driver sees of it."""


@dataclass(frozen=True)
class Drive:
    """An episode. frames: of every decision, where they were kept.  rewards: between one decision and the next."""

    seed: int
    total: float
    length: int
    rewards: tuple[float, ...] = ()
    frames: tuple[np.ndarray, ...] = ()


def drive(environment: Environment, policy: DrivingPolicy, seed: int) -> Drive:
    """An episode in the game as gymnasium makes it, with the frames of every decision."""
    game, driver = environment.make(), Driver(policy)
    frame, _ = game.reset(seed=seed)
    rewards, frames, length, over = list[float](), list[np.ndarray](), 0, False
    while not over:
        action, reward = driver.decide(frame), 0.0
        frames.append(frame)
        for _ in range(policy.hold):
            frame, step_reward, terminated, truncated, _ = game.step(action)
            reward, length, over = reward + float(step_reward), length + 1, bool(terminated or truncated)
            if over:
                break
        rewards.append(reward)
    game.close()
    return Drive(seed, sum(rewards), length, tuple(rewards), tuple(frames))


def drive_disturbed(
    game: Racing, policy: DrivingPolicy, seed: int, disturb: Disturb | None = None, delay: int = 0
) -> Drive:
    """An episode in which the driver sees disturbed frames, or those of `delay` frames ago.

    `game` draws and pays what gymnasium's own would (a test holds them equal).
    """
    game.start(seed)
    driver, seen, total, over = Driver(policy), {0: game.frame()}, 0.0, False
    late = delay % policy.hold
    while not over:
        frame = seen[max(0, game.frames - delay)]
        action = driver.decide(disturb(frame) if disturb else frame)
        # A frame is drawn where a later decision looks back to: `late` frames before each decision.
        reward, over = game.hold(action, policy.hold - late)
        seen[game.frames] = game.frame()
        total += reward
        if late and not over:
            reward, over = game.hold(action, late)
            total += reward
    return Drive(seed, total, game.frames)


def drive_randomly(game: Racing, seed: int, draw: np.random.Generator, hold: int) -> Drive:
    """An episode of actions drawn evenly from their ranges, each held like the policy's."""
    game.start(seed)
    total, over = 0.0, False
    while not over:
        reward, over = game.hold(draw.uniform((-1, 0, 0), 1), hold)
        total += reward
    return Drive(seed, total, game.frames)


def drive_by_expert(game: Racing, seed: int, params: ExpertParams, hold: int) -> Drive:
    """An episode of the privileged expert, the network's teacher."""
    game.start(seed)
    expert, total, over = Expert(game.track, params), 0.0, False
    while not over:
        reward, over = game.hold(expert.act(game.car), hold)
        total += reward
    return Drive(seed, total, game.frames)


def noise(deviation: float, draw: np.random.Generator) -> Disturb:
    """Adds Gaussian noise of this standard deviation, of 255, to every value of a frame."""

    def disturbed(frame: np.ndarray) -> np.ndarray:
        noisy: np.ndarray = np.clip(frame + draw.normal(0, deviation, frame.shape), 0, 255).round().astype(np.uint8)
        return noisy

    return disturbed

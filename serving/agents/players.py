"""Who plays: a policy that chooses one of several actions, or the driver, whose actions are real numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from components.bundle import Bundle
from components.datasets.environments.reader import Environment
from components.errors import UserError
from components.families.agents.runtime.episodes import Moment, play
from components.families.agents.runtime.policy import Policy
from components.labs.driving import runtime as driving
from serving.agents.games import ChosenGame, DrivenGame, Game

Actions = list[int | list[float]]


class Player(Protocol):
    """shape: of one observation.  block: steps that are played between two looks at the other requests."""

    shape: tuple[int, ...]
    providers: list[str]
    block: int

    def decide(self, observations: np.ndarray) -> tuple[Actions, list[list[float]]]:
        """Actions for observations (B, ...), and probabilities where it has them. Raises UserError for others."""

    def play(self, seed: int, render: bool) -> Iterator[Moment]: ...

    def game(self, seed: int) -> Game:
        """For whoever likes to play."""


class Chooser:
    """Takes the likeliest action."""

    block = 5  # with pictures about 30 ms

    def __init__(self, environment: Environment, policy: Policy) -> None:
        self.environment, self.policy = environment, policy
        self.shape, self.providers = policy.shape, policy.providers

    def decide(self, observations: np.ndarray) -> tuple[Actions, list[list[float]]]:
        found = self.policy(observations)
        return found.actions.tolist(), found.probabilities.tolist()

    def play(self, seed: int, render: bool) -> Iterator[Moment]:
        def act(observation: np.ndarray) -> tuple[int, np.ndarray]:
            found = self.policy(observation[None])
            return int(found.actions[0]), found.probabilities[0]

        return play(self.environment, act, seed, render=render)

    def game(self, seed: int) -> Game:
        return ChosenGame(self.environment, self.policy, seed)


class CarDriver:
    """Steers. An observation is two frames, those of the last decision and of this one."""

    block = 1  # a decision is held for several frames, and each is drawn

    def __init__(self, environment: Environment, policy: driving.DrivingPolicy) -> None:
        self.environment, self.policy = environment, policy
        self.shape: tuple[int, ...] = (policy.frames, *driving.FRAME)
        self.providers = policy.providers

    def decide(self, observations: np.ndarray) -> tuple[Actions, list[list[float]]]:
        if observations.shape[1:] != self.shape:
            raise UserError(f"observations are (N, {', '.join(map(str, self.shape))}), not {observations.shape}")
        if not ((observations >= 0) & (observations <= 255) & (observations % 1 == 0)).all():
            raise UserError("a frame holds what is no byte: whole numbers from 0 to 255")
        return self.policy.act(observations.astype(np.uint8)).tolist(), []

    def play(self, seed: int, render: bool) -> Iterator[Moment]:
        return driving.play(self.environment, self.policy, seed, render)

    def game(self, seed: int) -> Game:
        return DrivenGame(self.environment, self.policy, seed)


def player(bundle: Bundle, variant: str, environment: Environment) -> Player:
    """For the game of a verified bundle."""
    if environment.action_count:
        return Chooser(environment, Policy.load(bundle, variant))
    return CarDriver(environment, driving.DrivingPolicy.load(bundle, variant))

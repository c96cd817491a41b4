"""Episodes that a visitor plays: a request says the seed and every action so far, and the server replays them.

So any server answers any request, and none must keep a game. Those that were asked for last are kept all the same, and
then a request costs its last action only.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, NamedTuple, Protocol

import numpy as np

from components.datasets.environments.reader import Environment
from components.families.agents.runtime.policy import Policy
from components.labs.driving import runtime as driving
from serving.agents.schemas import PlayAnswer, PlayRequest
from serving.core.schemas import Origin

QUALITY = 85
"""JPEG quality. A JPEG file is made in a fifth of the time that a PNG file takes."""


class Game(Protocol):
    """pictures: what was seen during the last action, (H, W, 3) uint8 each; the last one is of now."""

    pictures: list[np.ndarray]
    reward: float
    total: float
    ended: bool

    def take(self, actions: Sequence[Any]) -> int:
        """Takes actions one after the other until the episode ends; returns how many it took."""

    def decide(self) -> tuple[int | list[float], list[float]]:
        """What the policy would do now, and the probability of each action where it has them."""


class ChosenGame:
    """A game of several actions, as gymnasium makes it."""

    def __init__(self, environment: Environment, policy: Policy, seed: int) -> None:
        self._game, self._policy = environment.make(render=True), policy
        self._seen, _ = self._game.reset(seed=seed)
        self.reward, self.total, self.ended = 0.0, 0.0, False
        self.pictures = [self._picture()]

    def take(self, actions: Sequence[int]) -> int:
        taken = 0
        while taken < len(actions) and not self.ended:
            self._seen, reward, terminated, truncated, _ = self._game.step(actions[taken])
            self.reward, taken = float(reward), taken + 1
            self.total, self.ended = self.total + self.reward, bool(terminated or truncated)
        self.pictures = [self._picture()]
        return taken

    def decide(self) -> tuple[int | list[float], list[float]]:
        found = self._policy(np.asarray(self._seen)[None])
        return int(found.actions[0]), found.probabilities[0].tolist()

    def _picture(self) -> np.ndarray:
        return np.asarray(self._game.render())


class DrivenGame(driving.Game):
    """A drive: its actions are steering, gas and brake."""

    def decide(self) -> tuple[int | list[float], list[float]]:
        return self.wanted(), []


class _Kept(NamedTuple):
    seed: int
    actions: list[Any]
    game: Game


class Games:
    """Plays what requests say. Called from one thread. most: games that are kept between two requests."""

    def __init__(self, make: Callable[[int], Game], most: int) -> None:
        self._make, self._most = make, most
        self._kept: list[_Kept] = []
        """The one that was asked for last is the last."""

    def play(self, asked: PlayRequest, origin: Origin) -> PlayAnswer:
        """The episode of the seed after the actions; those after its end are not taken."""
        seed, actions = asked.seed, list(asked.actions)
        done, game = self._found(seed, actions)
        if len(actions) > done:
            del actions[done + game.take(actions[done:]) :]
        self._kept = [*self._kept, _Kept(seed, actions, game)][-self._most :]
        action, probabilities = game.decide()
        return PlayAnswer(
            step=len(actions),
            pictures=[_jpeg(picture) for picture in game.pictures],
            action=action,
            probabilities=probabilities,
            reward=game.reward,
            total=game.total,
            ended=game.ended,
            model=origin,
        )

    def _found(self, seed: int, actions: list[Any]) -> tuple[int, Game]:
        """The kept game that is nearest to the actions' end, and how many of them it took; it is kept no longer."""
        fitting = [kept for kept in self._kept if kept.seed == seed and kept.actions == actions[: len(kept.actions)]]
        if not fitting:
            return 0, self._make(seed)
        nearest = max(fitting, key=lambda kept: len(kept.actions))
        self._kept = [kept for kept in self._kept if kept is not nearest]
        return len(nearest.actions), nearest.game


def _jpeg(picture: np.ndarray) -> str:
    from PIL import Image

    file = BytesIO()
    Image.fromarray(picture).save(file, "jpeg", quality=QUALITY)
    return base64.b64encode(file.getvalue()).decode()

"""Drives with an exported bundle: numpy and onnxruntime, no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from components.datasets.environments.reader import Environment
from components.errors import UserError
from components.families.agents.runtime.episodes import Moment

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from components.bundle import Bundle

FRAME = (96, 96, 3)


class DrivingPolicy:
    """A graph from frames (B, 2, 96, 96, 3) uint8 to actions (B, 3) float32: steering -1 to 1, gas and brake 0 to 1.

    hold: frames for which CarRacing is to take an action; the two frames are so many apart.
    """

    def __init__(self, spec: dict[str, Any], session: InferenceSession) -> None:
        self.hold: int = spec["hold"]
        self.frames: int = spec["frames"]
        self._session = session

    @classmethod
    def load(cls, bundle: Bundle, variant: str | None = None, threads: int = 1) -> Self:
        """A verified bundle's graph; the first variant unless one is named. Raises BundleError for one it lacks."""
        return cls(bundle.spec, bundle.session(variant or bundle.spec["variants"][0], threads))

    @property
    def providers(self) -> list[str]:
        """What onnxruntime runs it on."""
        providers: list[str] = self._session.get_providers()
        return providers

    def act(self, frames: np.ndarray) -> np.ndarray:
        """(B, 3) float32 for frames (B, 2, 96, 96, 3) uint8, the earlier one first. Raises UserError for others."""
        if frames.dtype != np.uint8 or frames.shape[1:] != (self.frames, *FRAME):
            raise UserError(
                f"the policy reads {self.frames} frames of 96 x 96 x 3 bytes, not {frames.dtype} {frames.shape[1:]}"
            )
        actions: np.ndarray = self._session.run(["actions"], {"frames": np.ascontiguousarray(frames)})[0]
        return actions


class Driver:
    """Drives one episode: remembers the frame of the decision before."""

    def __init__(self, policy: DrivingPolicy) -> None:
        self.policy = policy
        self._before: np.ndarray | None = None

    def decide(self, frame: np.ndarray) -> np.ndarray:
        """(3,) float64, to be held for `policy.hold` frames, for the frame (96, 96, 3) uint8 of now."""
        before = frame if self._before is None else self._before
        self._before = frame
        action: np.ndarray = self.policy.act(np.stack([before, frame])[None])[0].astype(np.float64)
        return action


def play(environment: Environment, policy: DrivingPolicy, seed: int, render: bool = False) -> Iterator[Moment]:
    """Plays the episode of a seed in gymnasium's own game; a moment is a decision, held for `policy.hold` frames."""
    game = environment.make(render=render)
    try:
        frame, _ = game.reset(seed=seed)
        driver, total, done, step = Driver(policy), 0.0, False, 0
        while not done:
            picture = np.asarray(game.render()) if render else None
            action, seen, before = driver.decide(frame), frame, total
            for _ in range(policy.hold):
                frame, reward, terminated, truncated, _ = game.step(action)
                total, done = total + float(reward), bool(terminated or truncated)
                if done:
                    break
            yield Moment(step, seen, tuple(action.tolist()), None, total - before, total, done, picture)
            step += 1
    finally:
        game.close()


class Game:
    """An episode that whoever likes may drive: the policy says what it would do, and takes nothing by itself.

    It is the quicker game, which a test holds equal to gymnasium's.
    """

    PICTURES = 2
    """Pictures of a decision, in its middle and at its end: a film of them has 25 pictures a second."""

    def __init__(self, environment: Environment, policy: DrivingPolicy, seed: int) -> None:
        from components.datasets.driving.game_reader import racing

        self.total, self.reward, self.ended = 0.0, 0.0, False
        self._racing, self._policy = racing(environment), policy
        self._racing.start(seed)
        self.pictures = [self._look()]
        self._before = self._frame

    def take(self, actions: Sequence[Sequence[float]]) -> int:
        """Takes actions (3,) one after the other until the episode ends; returns how many it took.

        Only what is seen after the last of them is drawn.
        """
        for taken, action in enumerate(actions):
            if self.ended:
                return taken
            last = taken == len(actions) - 1
            if last:
                self._before = self._frame if taken == 0 else self._racing.frame()
            self._hold(np.array(action, np.float64), last)
        return len(actions)

    def wanted(self) -> list[float]:
        """What the policy would do now: steering, gas and brake."""
        found: list[float] = self._policy.act(np.stack([self._before, self._frame])[None])[0].tolist()
        return found

    def _hold(self, action: np.ndarray, look: bool) -> None:
        pictures, self.reward, left = list[np.ndarray](), 0.0, self._policy.hold
        for part in range(self.PICTURES, 0, -1):
            if self.ended or not left:
                break
            frames = -(-left // part)
            reward, self.ended = self._racing.hold(action, frames)
            self.reward, left = self.reward + reward, left - frames
            if look and left and not self.ended:
                pictures.append(self._racing.picture())
        self.total += self.reward
        if self.ended:  # nothing is decided any more, and there is one picture, however the end was reached
            pictures = []
        if look or self.ended:
            self.pictures = [*pictures, self._look()]
        if self.ended:
            self._before = self._frame

    def _look(self) -> np.ndarray:
        self._frame, picture = self._racing.frame_and_picture()
        return picture

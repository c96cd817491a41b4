"""The privileged expert as a player of reference episodes, in the game as gymnasium makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from components.datasets.driving.expert_reader import Expert
from components.datasets.driving.params import Expert as ExpertParams

if TYPE_CHECKING:
    import gymnasium


class ExpertPolicy:
    """Reads the simulator's state of one episode, decides once in `hold` frames, and holds its action between."""

    def __init__(self, game: gymnasium.Env[Any, Any], params: ExpertParams, hold: int) -> None:
        """game: may be reset later, before the first action is asked for."""
        self._racing: Any = game.unwrapped
        self.params, self.hold = params, hold
        self._frames = 0

    def __call__(self, observation: Any) -> np.ndarray:
        """(3,) steering, gas and brake; what is observed is not looked at."""
        if self._frames == 0:
            self._expert = Expert(self._racing.track, self.params)
        if self._frames % self.hold == 0:
            self._action = self._expert.act(self._racing.car)
        self._frames += 1
        return self._action

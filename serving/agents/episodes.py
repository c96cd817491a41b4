"""Episodes that are played beside the event loop, a block of steps at a time, so that several go on together."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from components.families.agents.runtime.episodes import Moment
from components.families.agents.runtime.pictures import png
from serving.agents.players import Player
from serving.agents.schemas import EpisodeQuery, StepEvent
from serving.core.problems import DrainingError, FullError
from serving.core.worker import Worker

T = TypeVar("T")


class Episodes(Worker):
    """One thread for decisions and games. most: episodes that may be played at the same time."""

    def __init__(self, waiting: int, most: int) -> None:
        super().__init__(waiting)
        self.most, self.playing = most, 0

    @contextmanager
    def hold(self) -> Iterator[None]:
        """A place for an episode. Raises DrainingError and FullError. What has a place is played to its end."""
        if self.draining:
            raise DrainingError
        if self.playing == self.most:
            raise FullError
        self.playing += 1
        self.taken += 1
        try:
            yield
        finally:
            self.playing -= 1
            self.taken -= 1

    async def steps(self, player: Player, asked: EpisodeQuery) -> AsyncGenerator[list[StepEvent]]:
        """Blocks of steps. It must have a place."""
        loop = asyncio.get_running_loop()
        moments = islice(player.play(asked.seed, asked.pictures), asked.steps)
        while block := await loop.run_in_executor(self._thread, _played, moments, player.block):
            yield block


def _played(moments: Iterator[Moment], count: int) -> list[StepEvent]:
    return [_event(moment) for moment in islice(moments, count)]


def _event(moment: Moment) -> StepEvent:
    picture = "" if moment.picture is None else base64.b64encode(png(moment.picture, quick=True)).decode()
    return StepEvent(
        step=moment.step,
        action=moment.action if isinstance(moment.action, int) else list(moment.action),
        probabilities=[] if moment.probabilities is None else [float(share) for share in moment.probabilities],
        reward=moment.reward,
        total=moment.total,
        picture=picture,
        ended=moment.done,
    )

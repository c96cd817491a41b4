"""Rollouts labelled by the expert: what the network learns from (DAgger, Ross, Gordon and Bagnell 2011)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from components.datasets.driving.expert_reader import Expert
from components.datasets.driving.game_reader import Racing
from components.labs.driving import params
from components.labs.driving.training.network import pictures_of, readings_of, within_range

log = logging.getLogger(__name__)

Drive = Callable[[Tensor, Tensor], Tensor]
"""Pictures (B, 2, 42, 48) and readings (B, 2, 9) to actions (B, 3), which may leave their ranges."""


class Rollouts(NamedTuple):
    """Decisions, episode after episode.

    pictures: (N, 42, 48) uint8.  readings: (N, 9).  actions: (N, 3), the expert's.  before: (N,) the row of the
    decision before, or the row itself at an episode's start.  returns: (episodes,).
    """

    pictures: Tensor
    readings: Tensor
    actions: Tensor
    before: Tensor
    returns: Tensor


class Eyes:
    """What the network sees of an episode: the pictures and readings of this decision and of the one before."""

    def __init__(self) -> None:
        self.pictures: list[Tensor] = []
        self.readings: list[Tensor] = []

    def look(self, frame: np.ndarray) -> tuple[Tensor, Tensor]:
        """Pictures (1, 2, 42, 48) and readings (1, 2, 9), the earlier first; the first decision sees its own twice."""
        tensor = torch.from_numpy(np.ascontiguousarray(frame))
        self.pictures.append(pictures_of(tensor))
        self.readings.append(readings_of(tensor))
        rows = [max(0, len(self.pictures) - 2), len(self.pictures) - 1]
        pictures, readings = ([parts[row] for row in rows] for parts in (self.pictures, self.readings))
        return torch.stack(pictures)[None], torch.stack(readings)[None]


class Bursts:
    """Spells of a wrong action, so that the expert also shows how to come back (as in DART, Laskey et al. 2017)."""

    def __init__(self, params: params.Bursts, draw: np.random.Generator) -> None:
        self.params, self.draw = params, draw
        self._left, self._offset = 0, np.zeros(3)

    def add(self, action: np.ndarray) -> np.ndarray:
        """The action (3,), or during a spell the action and a random offset, within its range."""
        if not self._left and self.draw.random() < self.params.chance:
            self._left = int(self.draw.integers(1, self.params.longest + 1))
            self._offset = self.draw.normal(0, (self.params.steering, self.params.pedals, self.params.pedals / 4))
        if not self._left:
            return action
        self._left -= 1
        return np.clip(action + self._offset, (-1, 0, 0), 1)


def collect(
    racing: Racing,
    seeds: Sequence[int],
    params: params.Train,
    draw: np.random.Generator,
    drive: Drive | None = None,
    expert_share: float = 0.0,
) -> Rollouts:
    """An episode on the track of each seed, every decision labelled with what the expert would do there.

    drive: who drives; None is the expert, with bursts of wrong actions.  expert_share: share of the decisions that the
    expert takes in place of `drive`.
    """
    episodes = list[Rollouts]()
    for seed in seeds:
        episodes.append(_episode(racing, seed, params, draw, drive, expert_share))
        log.info("track %d of %d: return %.0f", len(episodes), len(seeds), float(episodes[-1].returns))
    firsts = np.cumsum([0, *(len(episode.actions) for episode in episodes[:-1])]).tolist()
    shifted = [episode._replace(before=episode.before + first) for episode, first in zip(episodes, firsts, strict=True)]
    return Rollouts(*(torch.cat(parts) for parts in zip(*shifted, strict=True)))


def _episode(
    racing: Racing,
    seed: int,
    params: params.Train,
    draw: np.random.Generator,
    drive: Drive | None,
    expert_share: float,
) -> Rollouts:
    racing.start(seed)
    expert, eyes, bursts = Expert(racing.track, params.expert), Eyes(), Bursts(params.bursts, draw)
    labels, total, over = list[np.ndarray](), 0.0, False
    while not over:
        seen = eyes.look(racing.frame())
        label = action = expert.act(racing.car)
        labels.append(label)
        if drive is None:
            action = bursts.add(label)
        elif draw.random() >= expert_share:
            action = action_of(drive(*seen))
        reward, over = racing.hold(action, params.hold)
        total += reward
    rows = torch.arange(len(labels))
    return Rollouts(
        torch.stack(eyes.pictures),
        torch.stack(eyes.readings),
        torch.from_numpy(np.array(labels, np.float32)),
        (rows - 1).clamp(min=0),
        torch.tensor([total]),
    )


def action_of(actions: Tensor) -> np.ndarray:
    """(3,) float64 of the network's (1, 3), within its range."""
    action: np.ndarray = within_range(actions.float())[0].double().cpu().numpy()
    return action

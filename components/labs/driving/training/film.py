"""Frames of an episode after some of the rounds: kept in the checkpoint, so that a killed run keeps its past."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

LENGTH = 60
"""Frames of a stage, evenly from an episode's start to its end."""
SIDE = 96


class Film(nn.Module):
    """frames: (stages, LENGTH, 96, 96, 3) uint8.  recorded: (stages,) whether a stage was reached."""

    frames: Tensor
    recorded: Tensor

    def __init__(self, rounds: Sequence[int]) -> None:
        """rounds: numbers, from 1, of the rounds after which an episode is recorded."""
        super().__init__()
        self.rounds = tuple(rounds)
        self.register_buffer("frames", torch.zeros(len(self.rounds), LENGTH, SIDE, SIDE, 3, dtype=torch.uint8))
        self.register_buffer("recorded", torch.zeros(len(self.rounds), dtype=torch.bool))

    def record(self, epoch: int, frames: Sequence[np.ndarray]) -> None:
        """frames: of an episode after `epoch`, from 0; kept where it is one of `rounds`."""
        if epoch + 1 not in self.rounds:
            return
        stage = self.rounds.index(epoch + 1)
        chosen = np.linspace(0, len(frames) - 1, LENGTH).round().astype(int)
        self.frames[stage] = torch.from_numpy(np.stack([frames[place] for place in chosen]))
        self.recorded[stage] = True

"""Returns after each epoch, against the frames that were driven: kept in the checkpoint, for the report."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NAMES = ("driven_frames", "val_return", "round_return")


class Curve(nn.Module):
    """rows: (epochs, 3), as NAMES says.  frames: driven in training so far.  recorded: epochs."""

    rows: Tensor
    frames: Tensor
    recorded: Tensor

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(epochs, len(NAMES), dtype=torch.float64))
        self.register_buffer("frames", torch.zeros((), dtype=torch.int64))
        self.register_buffer("recorded", torch.zeros((), dtype=torch.int64))

    def record(self, epoch: int, val_return: Tensor, round_return: Tensor) -> None:
        """epoch: from 0."""
        self.rows[epoch] = torch.tensor([float(self.frames), float(val_return), float(round_return)])
        self.recorded.fill_(epoch + 1)

    def columns(self) -> dict[str, list[float]]:
        """A number for each epoch that is done, by name."""
        done = self.rows[: int(self.recorded)]
        return {name: done[:, column].tolist() for column, name in enumerate(NAMES)}

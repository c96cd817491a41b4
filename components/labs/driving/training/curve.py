"""Returns after each epoch, against frames driven and seconds: kept in the checkpoint, for the report."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NAMES = ("driven_frames", "val_return", "round_return")


class Curve(nn.Module):
    """rows: (epochs, 3), as NAMES says.  frames: driven in training so far.  recorded: epochs.

    seconds: (epochs,) of training up to the end of each. A resumed training adds to them; only they depend on a clock.
    """

    rows: Tensor
    frames: Tensor
    recorded: Tensor
    seconds: Tensor

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(epochs, len(NAMES), dtype=torch.float64))
        self.register_buffer("frames", torch.zeros((), dtype=torch.int64))
        self.register_buffer("recorded", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seconds", torch.zeros(epochs, dtype=torch.float64))

    def record(self, epoch: int, val_return: Tensor, round_return: Tensor, seconds: float) -> None:
        """epoch: from 0. seconds: since the epoch before was recorded."""
        self.rows[epoch] = torch.tensor([float(self.frames), float(val_return), float(round_return)])
        self.seconds[epoch] = (float(self.seconds[epoch - 1]) if epoch else 0.0) + seconds
        self.recorded.fill_(epoch + 1)

    def columns(self) -> dict[str, list[float]]:
        """A number for each epoch that is done, by name."""
        count = int(self.recorded)
        found = {name: self.rows[:count, column].tolist() for column, name in enumerate(NAMES)}
        return {**found, "seconds": [round(seconds, 1) for seconds in self.seconds[:count].tolist()]}

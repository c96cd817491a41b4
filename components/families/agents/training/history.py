"""What an agent's epochs came to: kept in the checkpoint, so that the report of a killed training shows all of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

MEASURED = (
    "train_return",
    "val_return",
    "val_noisy_return",
    "train_entropy",
    "train_exploration",
    "train_value_error",
    "train_explained_variance",
    "env_steps",
)
"""Figures of an epoch; an algorithm has those that it logs. env_steps: played in training up to its end."""


class History(nn.Module):
    """rows: (epochs, figures) float32. known: 1 for the figures that there are. recorded: epochs.

    seconds: (epochs,) of training, validation included, up to the end of each epoch. A resumed training adds to them.
    They are the only part of the state that a clock decides.
    """

    rows: Tensor
    known: Tensor
    recorded: Tensor
    seconds: Tensor

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(epochs, len(MEASURED)))
        self.register_buffer("known", torch.zeros(len(MEASURED)))
        self.register_buffer("recorded", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seconds", torch.zeros(epochs))

    def record(self, epoch: int, metrics: Mapping[str, Tensor], seconds: float) -> None:
        """epoch: from 0. seconds: since the epoch before ended."""
        for column, name in enumerate(MEASURED):
            if name in metrics:
                self.rows[epoch, column] = float(metrics[name])
                self.known[column] = 1
        self.seconds[epoch] = (float(self.seconds[epoch - 1]) if epoch else 0.0) + seconds
        self.recorded.fill_(epoch + 1)

    def env_steps(self) -> float:
        """Steps that were played in the epochs so far."""
        done = int(self.recorded)
        return float(self.rows[done - 1, MEASURED.index("env_steps")]) if done else 0.0

    def columns(self) -> dict[str, list[float]]:
        """Figures by name, an item for each epoch, beside `epoch` from 1 and `seconds`."""
        done = int(self.recorded)
        found = {
            "epoch": [float(epoch) for epoch in range(1, done + 1)],
            "seconds": [round(seconds, 2) for seconds in self.seconds[:done].tolist()],
        }
        for column, name in enumerate(MEASURED):
            if self.known[column]:
                found[name] = self.rows[:done, column].tolist()
        return found

"""What an agent's epochs came to: kept in the checkpoint, so that the report of a killed training shows all of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

MEASURED = ("train_return", "val_return", "val_noisy_return", "train_entropy", "train_exploration", "train_value_error")
"""Figures of an epoch; an algorithm has those that it logs."""


class History(nn.Module):
    """rows: (epochs, figures) float32. known: 1 for the figures that there are. recorded: epochs."""

    rows: Tensor
    known: Tensor
    recorded: Tensor

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(epochs, len(MEASURED)))
        self.register_buffer("known", torch.zeros(len(MEASURED)))
        self.register_buffer("recorded", torch.zeros((), dtype=torch.int64))

    def record(self, epoch: int, metrics: Mapping[str, Tensor]) -> None:
        """epoch: from 0."""
        for column, name in enumerate(MEASURED):
            if name in metrics:
                self.rows[epoch, column] = float(metrics[name])
                self.known[column] = 1
        self.recorded.fill_(epoch + 1)

    def columns(self) -> dict[str, list[float]]:
        """Figures by name, an item for each epoch, beside `epoch` from 1."""
        done = int(self.recorded)
        found = {"epoch": [float(epoch) for epoch in range(1, done + 1)]}
        for column, name in enumerate(MEASURED):
            if self.known[column]:
                found[name] = self.rows[:done, column].tolist()
        return found

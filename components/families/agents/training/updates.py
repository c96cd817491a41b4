"""What Lightning calls batches: the updates of an epoch. The agent plays for each, so a batch is its number alone."""

from __future__ import annotations

import torch
from torch import Tensor

from components.families.agents.params import Train
from components.training.epochs import EpochData


class Updates(EpochData[Tensor]):
    """As many batches as an epoch has updates, and one for validation."""

    def __init__(self, params: Train) -> None:
        super().__init__()
        self.count = params.chosen.updates

    def epoch(self, epoch: int) -> list[Tensor]:
        return list(torch.arange(self.count))

    def validation_batches(self) -> list[Tensor]:
        return [torch.zeros(1)]

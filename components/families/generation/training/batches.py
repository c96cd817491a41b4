"""Batches of pictures: the whole set lies in memory as bytes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from components.errors import UserError
from components.families.generation.params import Train
from components.training.epochs import Epoch, EpochData, batches_of, epoch_seed, generator

READ_AT_ONCE = 500
"""Pictures of a validation batch: larger ones only take memory."""


class PictureData(EpochData[Tensor]):
    """Training and validation pictures, in batches (B, H, W, C) uint8."""

    def __init__(self, train: np.ndarray, validation: np.ndarray, params: Train) -> None:
        """train, validation: (N, H, W, C) uint8. Raises UserError when there are too few for a batch."""
        super().__init__()
        if len(train) < params.batch_size:
            raise UserError(f"{len(train)} training pictures are too few for a batch of {params.batch_size}: lower it")
        self.params = params
        self.train, self.validation = torch.from_numpy(train), torch.from_numpy(validation)

    def validation_batches(self) -> list[Tensor]:
        return list(torch.split(self.validation, READ_AT_ONCE))

    def epoch(self, epoch: int) -> Epoch[Tensor]:
        """Every picture once, but for the last ones that fill no batch; half of them mirrored where `flip` says so."""
        seed = epoch_seed(self.params.seed, epoch)
        order = torch.randperm(len(self.train), generator=generator(seed))

        def make(index: int, rows: Tensor) -> Tensor:
            images = self.train[rows]
            if not self.params.flip:
                return images
            mirrored = torch.rand(len(images), 1, 1, 1, generator=generator(seed + 1 + index)) < 0.5
            return torch.where(mirrored, images.flip(2), images)

        return Epoch(batches_of(order, self.params.batch_size, smallest=self.params.batch_size), make)

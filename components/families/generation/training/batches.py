"""Batches of pictures: the whole set lies in memory as bytes."""

from __future__ import annotations

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from components.errors import UserError
from components.families.generation.params import Train

READ_AT_ONCE = 500
"""Pictures of a validation batch: larger ones only take memory."""
SEEDS = 2**63
"""Seeds of batches go round there: torch takes none of 2**64 or more."""


class Epoch:
    """The batches (B, H, W, C) uint8 of one epoch: every picture once, in an order of its own; the rest sits out."""

    def __init__(self, images: Tensor, params: Train, epoch: int) -> None:
        self.images, self.params = images, params
        self.seed = (params.seed * 100_003 + epoch) * 100_003 % SEEDS
        self.order = torch.randperm(len(images), generator=torch.Generator().manual_seed(self.seed))

    def __len__(self) -> int:
        return len(self.images) // self.params.batch_size

    def __getitem__(self, index: int) -> Tensor:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self.order[index * self.params.batch_size : (index + 1) * self.params.batch_size]
        images = self.images[rows]
        if not self.params.flip:
            return images
        generator = torch.Generator().manual_seed(self.seed + 1 + index)
        mirrored = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
        return torch.where(mirrored, images.flip(2), images)


class PictureData(pl.LightningDataModule):
    """Training and validation pictures; what an epoch shows depends on (seed, epoch) only."""

    def __init__(self, train: np.ndarray, validation: np.ndarray, params: Train) -> None:
        """train, validation: (N, H, W, C) uint8. Raises UserError when there are too few for a batch."""
        super().__init__()
        if len(train) < params.batch_size:
            raise UserError(f"{len(train)} training pictures are too few for a batch of {params.batch_size}: lower it")
        self.params = params
        self.train, self.validation = torch.from_numpy(train), torch.from_numpy(validation)

    def train_dataloader(self) -> DataLoader[Tensor]:
        """The batches of the trainer's current epoch; rebuilt every epoch (reload_dataloaders_every_n_epochs=1)."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        return DataLoader(Epoch(self.train, self.params, epoch), batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader(list(torch.split(self.validation, READ_AT_ONCE)), batch_size=None)  # type: ignore[arg-type]

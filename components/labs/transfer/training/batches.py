"""Pictures as batches, all in memory: faces in the epochs of pretraining, then the small labelled set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from components.datasets.faces.category_reader import Labelled, faces, middle, photographs
from components.errors import UserError
from components.labs.transfer.params import Train

READ_AT_ONCE = 128
"""Pictures of a validation batch."""


class Batch(NamedTuple):
    """images: (B, input_size, input_size, 3) uint8 RGB.  labels: (B,) int64."""

    images: Tensor
    labels: Tensor


class Epoch(Dataset[Batch]):
    """Every picture once, each at a place of its own and half of them mirrored; what fills no batch sits out."""

    def __init__(self, pictures: Labelled, params: Train, epoch: int) -> None:
        self.pictures, self.size = pictures, params.input_size
        draw = np.random.default_rng((params.seed, epoch))
        count = len(pictures.labels)
        self.batch = min(params.batch_size, count)
        self.order = draw.permutation(count)
        margin = pictures.images.shape[1] - self.size
        self.places = draw.integers(0, margin + 1, (count, 2))
        self.mirrored = draw.random(count) < 0.5

    def __len__(self) -> int:
        return len(self.order) // self.batch

    def __iter__(self) -> Iterator[Batch]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self.order[index * self.batch : (index + 1) * self.batch]
        images = np.stack([self._framed(row) for row in rows])
        return Batch(torch.from_numpy(images), torch.from_numpy(self.pictures.labels[rows]))

    def _framed(self, row: int) -> np.ndarray:
        top, left = self.places[row]
        image = self.pictures.images[row, top : top + self.size, left : left + self.size]
        return image[:, ::-1] if self.mirrored[row] else image


class TransferData(pl.LightningDataModule):
    """An epoch's pictures, their order and their framing depend on (seed, epoch) only."""

    def __init__(self, prepared: Path, params: Train) -> None:
        super().__init__()
        self.params = params
        self.pretraining = faces(prepared) if params.pretraining_epochs else None
        self.train = photographs(prepared, "train", params.labelled, params.seed)
        self.validation = photographs(prepared, "validation")
        side = self.train.images.shape[1]
        if params.input_size > side:
            raise UserError(
                f"transfer.train.input_size is {params.input_size}, larger than the prepared pictures of {side}"
            )

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches of the trainer's current epoch; rebuilt every epoch (reload_dataloaders_every_n_epochs=1)."""
        return DataLoader(self.epoch(self.trainer.current_epoch if self.trainer else 0), batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch]:
        images = torch.from_numpy(middle(self.validation.images, self.params.input_size))
        labels = torch.from_numpy(self.validation.labels)
        pairs = zip(torch.split(images, READ_AT_ONCE), torch.split(labels, READ_AT_ONCE), strict=True)
        return DataLoader([Batch(*pair) for pair in pairs], batch_size=None)  # type: ignore[arg-type]

    def epoch(self, epoch: int) -> Epoch:
        pretraining = self.pretraining is not None and epoch < self.params.pretraining_epochs
        return Epoch(self.pretraining if pretraining and self.pretraining else self.train, self.params, epoch)

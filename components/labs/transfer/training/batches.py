"""Pictures as batches, all in memory: faces in the epochs of pretraining, then the small labelled set."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from components.datasets.faces.category_reader import Labelled, faces, middle, photographs
from components.errors import UserError
from components.labs.transfer.params import Train
from components.training.epochs import Epoch, EpochData, batches_of

READ_AT_ONCE = 128
"""Pictures of a validation batch."""


class Batch(NamedTuple):
    """images: (B, input_size, input_size, 3) uint8 RGB.  labels: (B,) int64."""

    images: Tensor
    labels: Tensor


def shuffled(pictures: Labelled, params: Train, epoch: int) -> Epoch[Batch]:
    """Every picture once, each cropped at random and half of them mirrored; the last ones that fill no batch are left
    out."""
    draw = np.random.default_rng((params.seed, epoch))
    count, size = len(pictures.labels), params.input_size
    order = draw.permutation(count)
    margin = pictures.images.shape[1] - size
    corners = draw.integers(0, margin + 1, (count, 2))
    mirrored = draw.random(count) < 0.5

    def crop(row: int) -> np.ndarray:
        top, left = corners[row]
        image = pictures.images[row, top : top + size, left : left + size]
        return image[:, ::-1] if mirrored[row] else image

    def make(index: int, rows: np.ndarray) -> Batch:
        images = np.stack([crop(row) for row in rows])
        return Batch(torch.from_numpy(images), torch.from_numpy(pictures.labels[rows]))

    batch = min(params.batch_size, count)
    return Epoch(batches_of(order, batch, smallest=batch), make)


class TransferData(EpochData[Batch]):
    """Faces in the epochs of pretraining, the small labelled set in the others."""

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

    def validation_batches(self) -> list[Batch]:
        images = torch.from_numpy(middle(self.validation.images, self.params.input_size))
        labels = torch.from_numpy(self.validation.labels)
        pairs = zip(torch.split(images, READ_AT_ONCE), torch.split(labels, READ_AT_ONCE), strict=True)
        return [Batch(*pair) for pair in pairs]

    def epoch(self, epoch: int) -> Epoch[Batch]:
        pretraining = self.pretraining is not None and epoch < self.params.pretraining_epochs
        return shuffled(self.pretraining if pretraining and self.pretraining else self.train, self.params, epoch)

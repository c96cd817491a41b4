"""The small labelled set as batches: all of it at once for the new head, then shuffled and varied."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from components.datasets.faces.category_reader import Labelled, photographs
from components.labs.transfer.params import Train
from components.training.epochs import Epoch, EpochData, batches_of

READ_AT_ONCE = 32
"""Pictures of a validation batch."""


class Batch(NamedTuple):
    """images: (B, input_size, input_size, 3) uint8 RGB.  labels: (B,) int64."""

    images: Tensor
    labels: Tensor


def whole(pictures: Labelled) -> Epoch[Batch]:
    """All pictures as they are, in one batch."""
    return Epoch([slice(None)], lambda index, rows: _batch(pictures.images[rows], pictures.labels[rows]))


def varied(pictures: Labelled, params: Train, epoch: int) -> Epoch[Batch]:
    """Every picture once, cropped at random and half of them mirrored; the last ones that fill no batch are left out.

    A crop has at least `smallest_crop` of the picture's area and sides that differ by at most a third (Szegedy et al.
    2015), and is brought to the picture's size.
    """
    draw = np.random.default_rng((params.seed, epoch))
    count, size = len(pictures.labels), params.input_size
    order = draw.permutation(count)
    areas = draw.uniform(params.smallest_crop, 1, count)
    shapes = np.exp(draw.uniform(np.log(3 / 4), np.log(4 / 3), count))
    corners, mirrored = draw.random((count, 2)), draw.random(count) < 0.5

    def crop(row: int) -> np.ndarray:
        sides = np.minimum(size, size * np.sqrt(areas[row] * np.array([shapes[row], 1 / shapes[row]])))
        start = corners[row] * (size - sides)
        image = Image.fromarray(pictures.images[row])
        found = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=(*start, *(start + sides))))
        return found[:, ::-1] if mirrored[row] else found

    def make(index: int, rows: np.ndarray) -> Batch:
        return _batch(np.stack([crop(row) for row in rows]), pictures.labels[rows])

    batch = min(params.batch_size, count)
    return Epoch(batches_of(order, batch, smallest=batch), make)


class TransferData(EpochData[Batch]):
    """The labelled pictures: whole in the first epoch of a pretrained backbone, which fits the head; varied later."""

    def __init__(self, prepared: Path, params: Train) -> None:
        super().__init__()
        self.params = params
        self.train = photographs(prepared, "train", params.input_size, params.labelled, params.seed)
        self.validation = photographs(prepared, "validation", params.input_size)

    def validation_batches(self) -> list[Batch]:
        pieces = range(0, len(self.validation.labels), READ_AT_ONCE)
        rows = [slice(first, first + READ_AT_ONCE) for first in pieces]
        return [_batch(self.validation.images[some], self.validation.labels[some]) for some in rows]

    def epoch(self, epoch: int) -> Epoch[Batch]:
        first = self.params.pretrained and epoch == 0
        return whole(self.train) if first else varied(self.train, self.params, epoch)


def _batch(images: np.ndarray, labels: np.ndarray) -> Batch:
    return Batch(torch.from_numpy(images), torch.from_numpy(labels))

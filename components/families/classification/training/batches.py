"""Batches of digits: the whole set lies in memory as bytes, and a batch is augmented in a few tensor operations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from components.datasets.digits.reader import read_split
from components.families.classification.params import Augmentation, Batches

READ_AT_ONCE = 1000
"""Pictures of a validation batch: larger ones only take memory."""
SEEDS = 2**63
"""Seeds of batches go round there: torch takes none of 2**64 or more."""


class Batch(NamedTuple):
    """images: (B, 1, 28, 28) float32, 0 paper to 1 ink. labels: (B,) int64."""

    images: Tensor
    labels: Tensor


class Epoch:
    """The batches of one epoch, each made when it is asked for: every picture once, in an order of its own.

    A single picture that is left over sits out: batch norm finds no variance in a batch of one.
    """

    def __init__(self, images: Tensor, labels: Tensor, params: Batches, epoch: int) -> None:
        self.images, self.labels, self.params = images, labels, params
        self.seed = (params.seed * 100_003 + epoch) * 100_003 % SEEDS
        self.order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(self.seed))

    def __len__(self) -> int:
        whole, left = divmod(len(self.labels), self.params.batch_size)
        return whole + (left > 1)

    def __iter__(self) -> Iterator[Batch]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self.order[index * self.params.batch_size : (index + 1) * self.params.batch_size]
        generator = torch.Generator().manual_seed(self.seed + 1 + index)
        return Batch(augmented(to_ink(self.images[rows]), self.params.augmentation, generator), self.labels[rows])


class DigitsData(pl.LightningDataModule):
    """Prepared digits; the order and the augmentation of an epoch depend on (seed, epoch) only."""

    def __init__(self, prepared: Path, params: Batches) -> None:
        super().__init__()
        self.params = params
        self.train, self.validation = (_tensors(prepared, split) for split in ("train", "validation"))

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches of the trainer's current epoch; rebuilt every epoch (reload_dataloaders_every_n_epochs=1)."""
        return DataLoader(self.epoch(self.trainer.current_epoch if self.trainer else 0), batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[Batch]:
        images, labels = self.validation
        batches = zip(torch.split(images, READ_AT_ONCE), torch.split(labels, READ_AT_ONCE), strict=True)
        return DataLoader([Batch(to_ink(some), digits) for some, digits in batches], batch_size=None)  # type: ignore[arg-type]

    def epoch(self, epoch: int) -> Epoch:
        return Epoch(*self.train, self.params, epoch)


def to_ink(images: Tensor) -> Tensor:
    """Bytes (B, 28, 28) as (B, 1, 28, 28) float32 from 0 to 1: what every model of digits reads."""
    return images.unsqueeze(1).float() / 255


def augmented(images: Tensor, params: Augmentation, generator: torch.Generator) -> Tensor:
    """Each of images (B, 1, 28, 28) moved, blurred and made noisy by draws of its own, in the order of a camera.

    Half of the pictures get no blur and half no noise, so that digits as they were drawn stay the commonest.
    """
    # A row for each: another strength of one changes none of the others' draws.
    draws = torch.rand(7, len(images), generator=generator) * 2 - 1
    if any((params.shift, params.rotation, params.scale, params.shear)):
        images = _moved(images, draws[:5], params)
    if params.blur:
        some = draws[5] > 0
        images = images.index_put((some,), _blurred(images[some], draws[5, some] * params.blur))
    if params.noise:
        some = draws[6] > 0
        levels = (draws[6, some] * params.noise).view(-1, 1, 1, 1)
        noise = torch.randn(len(levels), *images.shape[1:], generator=generator)
        images = images.index_put((some,), torch.addcmul(images[some], noise, levels).clamp_(0, 1))
    return images


def _moved(images: Tensor, draws: Tensor, params: Augmentation) -> Tensor:
    """Turned, scaled, sheared and moved, in one linear interpolation. draws: (5, B), -1 to 1."""
    angle, scale, shear = draws[0] * math.radians(params.rotation), 1 + draws[1] * params.scale, draws[2] * params.shear
    size = images.shape[-1]
    # grid_sample counts from -1 to 1 over the picture, so a shift of one pixel is 2 / 28.
    move_x, move_y = draws[3:] * (params.shift * 2 / size)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    across = torch.stack([cos, shear * cos - sin, move_x], dim=1)
    down = torch.stack([sin, shear * sin + cos, move_y], dim=1)
    # functional.affine_grid computes the same in four times the time.
    centres = (torch.arange(size) * 2 + 1) / size - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    places = torch.stack([x, y, torch.ones_like(x)]).view(3, size * size)
    grid = (torch.stack([across, down], dim=1).view(-1, 3) @ places).view(-1, 2, size, size)
    return functional.grid_sample(images, grid.permute(0, 2, 3, 1), align_corners=False)


def _blurred(images: Tensor, deviations: Tensor) -> Tensor:
    """Each under a Gaussian of its own standard deviation (B,), in pixels; around a picture is paper."""
    size = images.shape[-1]
    distances = torch.arange(1 - size, size)
    weights = torch.exp(-(distances**2) / (2 * deviations.clamp(min=0.01)[:, None] ** 2))
    weights /= weights.sum(dim=1, keepdim=True)
    # A blur of rows and of columns is one matrix on each side of the picture: row i holds the weights around pixel i.
    matrices = weights.unfold(1, size, 1).flip(1)
    blurred: Tensor = matrices @ images[:, 0] @ matrices
    return blurred.unsqueeze(1)


def _tensors(prepared: Path, split: str) -> tuple[Tensor, Tensor]:
    images, labels = read_split(prepared, split)
    return torch.from_numpy(images), torch.from_numpy(labels).long()

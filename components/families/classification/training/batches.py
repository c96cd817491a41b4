"""Batches of digits: the whole set lies in memory as bytes, and a batch is augmented in a few tensor operations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from components.datasets.digits.reader import read_split
from components.families.classification.params import Augmentation, Batches
from components.families.classification.training.ink import to_ink
from components.training.epochs import Epoch, EpochData, batches_of, epoch_seed, generator

READ_AT_ONCE = 1000
"""Pictures of a validation batch: larger ones only take memory."""


class Batch(NamedTuple):
    """images: (B, 1, 28, 28) float32, 0 background to 1 ink. labels: (B,) int64."""

    images: Tensor
    labels: Tensor


class DigitsData(EpochData[Batch]):
    """Prepared digits; an epoch has every picture once, augmented."""

    def __init__(self, prepared: Path, params: Batches) -> None:
        super().__init__()
        self.params = params
        self.train, self.validation = (_tensors(prepared, split) for split in ("train", "validation"))

    def validation_batches(self) -> list[Batch]:
        images, labels = self.validation
        batches = zip(torch.split(images, READ_AT_ONCE), torch.split(labels, READ_AT_ONCE), strict=True)
        return [Batch(to_ink(some), digits) for some, digits in batches]

    def epoch(self, epoch: int) -> Epoch[Batch]:
        """A single picture that is left over is left out: batch norm finds no variance in a batch of one."""
        images, labels = self.train
        seed = epoch_seed(self.params.seed, epoch)
        order = torch.randperm(len(labels), generator=generator(seed))

        def make(index: int, rows: Tensor) -> Batch:
            draw = generator(seed + 1 + index)
            return Batch(augmented(to_ink(images[rows]), self.params.augmentation, draw), labels[rows])

        return Epoch(batches_of(order, self.params.batch_size, smallest=2), make)


def augmented(images: Tensor, params: Augmentation, generator: torch.Generator) -> Tensor:
    """Images (B, 1, 28, 28) moved, then blurred, then with noise, each by draws of its own.

    Half of the pictures get no blur and half no noise, so that clean digits stay the most frequent.
    """
    # A row for each kind: another strength of one kind changes the draws of no other.
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
    """Rotated, scaled, sheared and moved, in one linear interpolation. draws: (5, B), -1 to 1."""
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
    """Each under a Gaussian of its own standard deviation (B,), in pixels; a picture is surrounded by background."""
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

"""The small convolutional networks of both models."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from components.errors import UserError


class Shape(NamedTuple):
    """A picture's side in pixels and its channels."""

    size: int
    channels: int


def coarsest(shape: Shape, widths: tuple[int, ...]) -> int:
    """Side of the coarsest map, from which the side doubles once for each width. Raises UserError."""
    side, rest = divmod(shape.size, 1 << len(widths))
    if rest:
        raise UserError(f"{len(widths)} widths: pictures of {shape.size} pixels cannot halve so often")
    return side


class Decoder(nn.Module):
    """Latents (B, latent_dim) to values (B, C, H, W), of which the sigmoid is the picture, 0 to 1.

    Every doubling is a convolution to four times the channels, which then become pixels (Shi et al. 2016, "Real-time
    single image and video super-resolution using an efficient sub-pixel convolutional neural network"): plain
    convolutions on small maps are fast on a CPU, and unlike transposed ones they have 8-bit kernels in onnxruntime.
    """

    def __init__(self, shape: Shape, latent_dim: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        side = coarsest(shape, widths)
        self.first = nn.Linear(latent_dim, widths[0] * side * side, bias=False)
        layers: list[nn.Module] = [nn.Unflatten(1, (widths[0], side, side)), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for width, following in itertools.pairwise(widths):
            # The norm comes before the shuffle, so that it folds into the convolution: exported graphs have none.
            layers += [nn.Conv2d(width, 4 * following, 3, padding=1, bias=False), nn.BatchNorm2d(4 * following)]
            layers += [nn.ReLU(), nn.PixelShuffle(2)]
        layers += [nn.Conv2d(widths[-1], 4 * shape.channels, 3, padding=1), nn.PixelShuffle(2)]
        self.layers = nn.Sequential(*layers)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, latents: Tensor) -> Tensor:
        values: Tensor = self.layers(self.first(latents))
        return values.float()


def encoder(shape: Shape, outputs: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Pictures (B, C, H, W) to (B, outputs); widths as the decoder's, the coarsest map first."""
    layers: list[nn.Module] = []
    before = shape.channels
    for width in reversed(widths):
        layers += [nn.Conv2d(before, width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        before = width
    side = coarsest(shape, widths)
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * side * side, outputs))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def discriminator(shape: Shape, widths: tuple[int, ...]) -> nn.Sequential:
    """Pictures (B, C, H, W) to scores (B, 1), high for real ones.

    Every layer is divided by its spectral norm, so that the score cannot change faster than the picture does
    (Miyato et al. 2018, "Spectral normalization for generative adversarial networks").
    """
    layers: list[nn.Module] = []
    before = shape.channels
    for width in reversed(widths):
        layers += [spectral_norm(nn.Conv2d(before, width, 4, stride=2, padding=1)), nn.LeakyReLU(0.1)]
        before = width
    side = coarsest(shape, widths)
    network = nn.Sequential(*layers, nn.Flatten(), spectral_norm(nn.Linear(before * side * side, 1)))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def to_pictures(images: Tensor) -> Tensor:
    """Bytes (B, H, W, C) as (B, C, H, W) float32 from 0 to 1, in oneDNN's fastest layout."""
    return (images.float() / 255).permute(0, 3, 1, 2)


def to_bytes(values: Tensor) -> Tensor:
    """Pictures (B, H, W, C) uint8 of a decoder's values (B, C, H, W)."""
    return (values.sigmoid() * 255).round().to(torch.uint8).permute(0, 2, 3, 1)

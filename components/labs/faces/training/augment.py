"""Augmentation by framing, colour and sharpness: the whole batch at once, on its own device."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from components.datasets.faces.reader import SIZE
from components.labs.faces.params import Train

GREY = (0.299, 0.587, 0.114)
"""Luma of red, green and blue (ITU-R BT.601)."""
NOISY = 0.25
"""Share of pictures with noise."""
PIECE = 32
"""Pictures worked on at once on a CPU: of more, every step's memory is mapped anew, which took half of its time."""
LOW_RESOLUTION = (16, 48)
"""Least and most pixels of a side that blurred pictures are reduced to."""


def augmented(images: Tensor, params: Train) -> Tensor:
    """Pictures (B, 3, SIZE, SIZE) in 0 to 1 from images (B, S, S, 3) uint8; draws from torch's global generator.

    Blur and noise go to the first and last pictures of a piece, so the batch must be in random order.
    """
    pieces = torch.split(images, PIECE if images.device.type == "cpu" else len(images))
    with torch.autocast(images.device.type, enabled=False):  # bf16 has 256 steps between 1 and 2: too few for colours
        return torch.cat([_jittered(piece.permute(0, 3, 1, 2).float().div_(255), params) for piece in pieces])


def plain(images: Tensor) -> Tensor:
    """The middle (B, 3, SIZE, SIZE) of images (B, S, S, 3) uint8, in 0 to 1: what is measured, without jitter."""
    margin = (images.shape[1] - SIZE) // 2
    middle = images[:, margin : margin + SIZE, margin : margin + SIZE].permute(0, 3, 1, 2)
    return middle.float().div_(255)


def _jittered(images: Tensor, params: Train) -> Tensor:
    pictures = _coloured(_framed(images, params), params)
    blurred = round(params.blur * len(pictures))
    if blurred:
        pictures[:blurred] = _low_resolution(pictures[:blurred])
    noisy = round(NOISY * len(pictures)) if params.noise else 0
    if noisy:
        pictures[-noisy:] += torch.randn_like(pictures[-noisy:]) * params.noise
    return pictures.clamp_(0, 1).contiguous(memory_format=torch.channels_last)


def _framed(pictures: Tensor, params: Train) -> Tensor:
    """Moves, scales, turns and mirrors; what lies beyond the margin repeats the border."""
    batch, size, device = len(pictures), pictures.shape[-1], pictures.device
    scale = params.zoom ** _uniform(batch, device) * (SIZE / size)
    angle = _uniform(batch, device) * math.radians(params.rotation)
    mirror = torch.where(_uniform(batch, device) < 0, -1.0, 1.0)
    reach = 2 * params.shift * SIZE / size
    centre = torch.complex(_uniform(batch, device) * reach, _uniform(batch, device) * reach)
    # Places as complex numbers: turning and scaling is one product, and the grid is the sum of a row and a column.
    turned = torch.polar(scale, angle)
    steps = (torch.arange(SIZE, device=device) + 0.5) * (2 / SIZE) - 1
    across = (turned * mirror)[:, None] * steps + centre[:, None]
    down = (turned * 1j)[:, None] * steps
    grid = torch.view_as_real(across[:, None, :] + down[:, :, None])
    return functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _coloured(pictures: Tensor, params: Train) -> Tensor:
    """Contrast, brightness, each colour's strength and saturation: one 3x3 matrix and offset a picture."""
    batch, device = len(pictures), pictures.device
    grey = torch.tensor(GREY, device=device).expand(batch, 3, 3)
    saturation = 1 + params.colour * _uniform(batch, device)
    saturation = torch.where(torch.rand(batch, device=device) < params.grey, 0.0, saturation).view(-1, 1, 1)
    matrix = saturation * torch.eye(3, device=device) + (1 - saturation) * grey
    gains = 1 + params.colour / 2 * _uniform(batch * 3, device).view(-1, 3, 1)
    contrast = (1 + params.colour * _uniform(batch, device)).view(-1, 1, 1)
    brightness = (1 + params.colour * _uniform(batch, device)).view(-1, 1, 1)
    matrix = matrix * gains * contrast * brightness
    flat = pictures.flatten(2)
    offset = (1 - contrast) * brightness * flat.mean(dim=(1, 2)).view(-1, 1, 1)
    return torch.baddbmm(offset.expand(-1, 3, 1), matrix, flat).view_as(pictures)


def _low_resolution(pictures: Tensor) -> Tensor:
    """Reduced to one size, drawn anew for every call, and enlarged again."""
    side = int(torch.randint(LOW_RESOLUTION[0], LOW_RESOLUTION[1] + 1, ()))
    small = functional.interpolate(pictures, size=side, mode="bilinear", antialias=True)
    return functional.interpolate(small, size=SIZE, mode="bilinear")


def _uniform(count: int, device: torch.device) -> Tensor:
    """(count,) between -1 and 1."""
    return torch.rand(count, device=device) * 2 - 1

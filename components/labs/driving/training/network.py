"""The network that drives: two small grey pictures and sensor readings to steering, gas and brake."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

ROAD_ROWS = 84
"""Rows of a frame above the indicators, as gymnasium calls its bars of speed, wheels (ABS), steering and gyroscope."""
PICTURE = (ROAD_ROWS // 2, 48)
FRAMES = 2
"""Frames that the network sees: of the last decision, and of this one."""
BARS = (("speed", 12, 15), ("wheel 0", 16, 19), ("wheel 1", 19, 21), ("wheel 2", 21, 24), ("wheel 3", 24, 27))
"""Columns of the upright bars: gymnasium draws the speed at 5/40 of the width and the wheels from 7/40 on."""
READINGS = len(BARS) + 4
"""Sensor readings, decoded from the indicators: upright bars, and steering and turning to the left and to the right."""
STEERING, TURNING = 48, 72
"""Columns where the bars of the steering (green) and of the turning (red) begin, to either side."""
KERNELS = (5, 3, 3)


def pictures_of(frames: Tensor) -> Tensor:
    """(..., 42, 48) uint8: the green channel of frames (..., 96, 96, 3) uint8 above the indicators, at half the size.

    On green grass and grey road the green channel has nearly all the contrast.
    """
    green = frames[..., :ROAD_ROWS, :, 1].int()
    rows = green[..., 0::2, :] + green[..., 1::2, :]
    return ((rows[..., 0::2] + rows[..., 1::2]) // 4).to(torch.uint8)


def readings_of(frames: Tensor) -> Tensor:
    """(..., 9) float32, about 0 to 1: the sensor readings that the indicators of frames (..., 96, 96, 3) uint8 show."""
    bar = frames[..., ROAD_ROWS:, :, :].float() / 255
    upright = [bar[..., first:last, :].amax(dim=-1).sum(dim=(-2, -1)) / 12 for _, first, last in BARS]
    green, red = bar[..., 1] - bar[..., 0], bar[..., 0] - bar[..., 1]
    level = [
        side.clamp(min=0).sum(dim=(-2, -1)) / 40
        for side in (
            green[..., STEERING - 16 : STEERING],
            green[..., STEERING : STEERING + 16],
            red[..., TURNING - 16 : TURNING],
            red[..., TURNING : TURNING + 24],
        )
    ]
    return torch.stack([*upright, *level], dim=-1)


class Driver(nn.Module):
    """Pictures (B, 2, 42, 48) uint8 and readings (B, 2, 9) float32 to actions (B, 3): steering, gas and brake.

    With another number of `outputs` it is a network of the same form for something else, such as a value.
    """

    def __init__(self, channels: Sequence[int], hidden_size: int, outputs: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        height, width = PICTURE
        for (before, after), kernel in zip(pairwise((FRAMES, *channels)), KERNELS, strict=True):
            layers += [nn.Conv2d(before, after, kernel, stride=2), nn.ReLU()]
            height, width = ((side - kernel) // 2 + 1 for side in (height, width))
        # This layout of the weights halves the time of a step.
        self.convolutions = nn.Sequential(*layers, nn.Flatten()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.dense = nn.Linear(channels[-1] * height * width + FRAMES * READINGS, hidden_size)
        self.middle = nn.Linear(hidden_size, hidden_size // 4)
        self.head = nn.Linear(hidden_size // 4, outputs)

    def forward(self, pictures: Tensor, readings: Tensor) -> Tensor:
        seen = self.convolutions(pictures.float() / 255 - 0.5)
        hidden = functional.relu(self.dense(torch.cat([seen, readings.flatten(1)], dim=1)))
        actions: Tensor = self.head(functional.relu(self.middle(hidden)))
        return actions


def within_range(actions: Tensor) -> Tensor:
    """Actions (B, 3) as CarRacing takes them: steering -1 to 1, gas and brake 0 to 1."""
    return torch.cat([actions[:, :1].clamp(-1, 1), actions[:, 1:].clamp(0, 1)], dim=1)

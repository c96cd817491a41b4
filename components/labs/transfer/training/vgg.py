"""VGG16's convolutions (Simonyan and Zisserman 2015, configuration D) by torchvision's names, and its state file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from components.errors import UserError

CHANNELS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the 3 x 3 convolutions, each followed by ReLU; after each group comes 2 x 2 max pooling."""
HEAD = "classifier."
"""torchvision's name of the three layers that this lab replaces."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet's colours, 0 to 1: torchvision's weights expect input that is normalised by them."""


class Vgg(nn.Module):
    """Pictures (B, 3, S, S), 0 to 1, as (B, 512 width) numbers: the mean of the last map over its places.

    The mean replaces torchvision's fully connected layers, which hold 90 % of VGG16's weights and are made for
    1,000 categories; so any size that is a multiple of 32 can be read.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for group in CHANNELS:
            for channels in (max(1, round(width * each)) for each in group):
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(inplace=True)]
                before = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.outputs = before
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1), persistent=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def parts(self) -> list[nn.Module]:
        return [layer for layer in self.features if isinstance(layer, nn.Conv2d)]

    def forward(self, pictures: Tensor) -> Tensor:
        normal = ((pictures - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.features(normal)
        return maps.mean(dim=(2, 3))


def load_state(network: Vgg, state: Mapping[str, Any], origin: str) -> None:
    """Takes the convolutions of a torchvision VGG16 (names `features.<layer>.weight` and `.bias`), not its head.

    Raises UserError that names the first tensor that is missing, unknown or of another shape.
    """
    own = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("features.")}
    given = {name: tensor for name, tensor in state.items() if not name.startswith(HEAD)}
    for name in (*own, *given):
        if name not in given:
            raise UserError(f"{origin} is no VGG16 state file: it has no {name}")
        if name not in own:
            raise UserError(f"{origin} is of another network: VGG16 has no {name} (with batch norm it is another one)")
        shapes = [tuple(getattr(tensor, "shape", ())) for tensor in (given[name], own[name])]
        if shapes[0] != shapes[1]:
            raise UserError(f"{origin}: {name} is {shapes[0]}, not {shapes[1]}")
    network.load_state_dict(given, strict=True)

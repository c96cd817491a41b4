"""EfficientNet-Lite0 (Tan and Le 2019, "EfficientNet"; the Lite variants, Google 2020) and its published state file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from components.errors import UserError

STAGES = (
    (1, 16, 3, 1, 1), (6, 24, 3, 2, 2), (6, 40, 5, 2, 2), (6, 80, 3, 2, 3), (6, 112, 5, 1, 3), (6, 192, 5, 2, 4),
    (6, 320, 3, 1, 1),
)  # fmt: skip
"""Each stage's expansion, channels, kernel, stride of its first block, and number of blocks (its table 1)."""
STEM, OUTPUTS = 32, 1280
EPSILON = 1e-3
MEAN, DEVIATION = 127 / 255, 128 / 255
"""The published weights read bytes as (x - 127) / 128."""
NAMES = {
    "_conv_stem": "stem.convolution", "_bn0": "stem.norm", "_conv_head": "head.convolution", "_bn1": "head.norm",
}  # fmt: skip
BLOCK_NAMES = {
    f"_{part}": f"{own}.{kind}"
    for own, norm in (("expand", "bn0"), ("depthwise", "bn1"), ("project", "bn2"))
    for part, kind in ((f"{own}_conv", "convolution"), (norm, "norm"))
}
"""Published names of layers, and theirs here."""
CLASSIFIER = "_fc."
"""The published layer for ImageNet's 1,000 categories, which this lab replaces."""


class Block(nn.Module):
    """An inverted residual block (Sandler et al. 2018) without squeeze and excitation, with ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.expand = _convolution(inputs, inner, 1) if expansion > 1 else nn.Sequential()
        self.depthwise = _convolution(inner, inner, kernel, stride, inner)
        self.project = _convolution(inner, outputs, 1, activation=False)

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = self.project(self.depthwise(self.expand(maps)))
        return maps + found if self.residual else found


class EfficientNetLite0(nn.Module):
    """Pictures (B, 3, S, S), 0 to 1, as (B, 1280) numbers: the mean of the last map over its places. S: times of 32."""

    outputs = OUTPUTS

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(3, STEM, 3, 2)
        blocks, before = [], STEM
        for expansion, channels, kernel, stride, count in STAGES:
            for number in range(count):
                blocks.append(Block(before, channels, kernel, 1 if number else stride, expansion))
                before = channels
        self.blocks = nn.Sequential(*blocks)
        self.head = _convolution(before, OUTPUTS, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def parts(self) -> list[nn.Module]:
        return [self.stem, *self.blocks, self.head]

    def forward(self, pictures: Tensor) -> Tensor:
        normal = ((pictures - MEAN) / DEVIATION).contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.head(self.blocks(self.stem(normal)))
        return maps.mean(dim=(2, 3))


def load_state(network: EfficientNetLite0, state: Mapping[str, Any], origin: str) -> None:
    """Takes all but the classifier of the published state file.

    Raises UserError that names the first tensor that is missing, unknown or of another shape.
    """
    own = network.state_dict()
    given = {_own_name(name): tensor for name, tensor in state.items() if not name.startswith(CLASSIFIER)}
    for name in (*own, *given):
        if name not in given or name not in own:
            problem = "has no" if name not in given else "is of another network: there is no"
            raise UserError(f"{origin} is no state file of EfficientNet-Lite0: it {problem} {name}")
        shapes = [tuple(getattr(tensor, "shape", ())) for tensor in (given[name], own[name])]
        if shapes[0] != shapes[1]:
            raise UserError(f"{origin}: {name} is {shapes[0]}, not {shapes[1]}")
    network.load_state_dict(given, strict=True)


def _own_name(name: str) -> str:
    """`_blocks.3._depthwise_conv.weight` is `blocks.3.depthwise.convolution.weight` here."""
    block, _, rest = name.rpartition("_blocks.")[2].partition(".") if name.startswith("_blocks.") else ("", "", name)
    layer, _, tensor = rest.partition(".")
    prefix, names = (f"blocks.{block}.", BLOCK_NAMES) if block else ("", NAMES)
    return f"{prefix}{names.get(layer, layer)}.{tensor}"


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, activation: bool = True
) -> nn.Sequential:
    """Padded as TensorFlow's SAME: with stride 2 and an even size one row less at the start than at the end."""
    layers: dict[str, nn.Module] = {}
    if stride == 2:
        before, after = (kernel - 2) // 2, (kernel - 1) // 2
        layers["padding"] = nn.ZeroPad2d((before, after, before, after))
    inside = 0 if stride == 2 else kernel // 2
    layers["convolution"] = nn.Conv2d(inputs, outputs, kernel, stride, inside, groups=groups, bias=False)
    layers["norm"] = nn.BatchNorm2d(outputs, eps=EPSILON)
    if activation:
        layers["activation"] = nn.ReLU6(inplace=True)
    return nn.Sequential(OrderedDict(layers))

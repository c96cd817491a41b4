"""Networks without their last layer, and where their pretrained weights come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from components.labs.transfer.params import Train
from components.labs.transfer.training import efficientnet, vgg
from components.labs.transfer.training.state_file import read_state

PUBLISHED = "efficientnet-lite0-57934424.pth"
"""The state file in the folder of the pretrained weights `efficientnet_lite0`, whose hash `fetch` checks."""


class Backbone(Protocol):
    """outputs: how many features. parts: modules in order, of which the last ones learn."""

    outputs: int

    @property
    def parts(self) -> Sequence[nn.Module]: ...

    def __call__(self, pictures: Tensor) -> Tensor:
        """Features (B, outputs) of pictures (B, 3, S, S), 0 to 1."""


def backbone(params: Train) -> efficientnet.EfficientNetLite0 | vgg.Vgg:
    """A new one, with random weights."""
    return efficientnet.EfficientNetLite0() if params.backbone == "efficientnet_lite0" else vgg.Vgg()


def load_pretrained(
    network: efficientnet.EfficientNetLite0 | vgg.Vgg, params: Train, pretrained: Mapping[str, Path], downloads: Path
) -> None:
    """Reads the weights that `params` names. pretrained: folders by name. downloads: where a state file is kept.

    Raises UserError where the file is missing, has another hash, or is of another network.
    """
    if isinstance(network, vgg.Vgg):
        vgg.load_state(network, read_state(params.weights, params.sha256, downloads), params.weights)
    else:
        path = pretrained[params.backbone] / PUBLISHED
        state = torch.load(path, weights_only=True, map_location="cpu")
        efficientnet.load_state(network, state, str(path))

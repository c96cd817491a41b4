"""Networks from what is seen to a number for each action, and to a value."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING

from torch import Tensor, nn


class Network(nn.Module):
    """Two networks of tanh layers beside each other, one for actions and one for the value of a state.

    They share nothing: Andrychowicz et al. 2021, "What matters for on-policy deep actor-critic methods", find that
    better for small observations, tanh better than ReLU, and a last policy layer with small weights best.
    """

    def __init__(self, size: int, hidden_sizes: Sequence[int], actions: int, return_unit: float) -> None:
        """size: how many numbers preprocessing gives. return_unit: what values are measured in."""
        super().__init__()
        self.return_unit = return_unit
        self.actions = _layers(size, hidden_sizes, actions, 0.01)
        self.value = _layers(size, hidden_sizes, 1, 1.0)

    def forward(self, seen: Tensor) -> Tensor:
        """Logits, or Q-values, (B, actions) of what is seen (B, size)."""
        scores: Tensor = self.actions(seen)
        return scores

    if TYPE_CHECKING:  # torch says that a call returns anything

        def __call__(self, seen: Tensor) -> Tensor: ...

    def values(self, seen: Tensor) -> Tensor:
        """(B,) estimated returns of what is seen (B, size)."""
        values: Tensor = self.value(seen)
        return self.return_unit * values.squeeze(1)


def _layers(inputs: int, hidden_sizes: Sequence[int], outputs: int, last_gain: float) -> nn.Sequential:
    sizes = [inputs, *hidden_sizes]
    layers: list[nn.Module] = []
    for size, following in itertools.pairwise(sizes):
        layers += [_orthogonal(nn.Linear(size, following), sqrt(2)), nn.Tanh()]
    return nn.Sequential(*layers, _orthogonal(nn.Linear(sizes[-1], outputs), last_gain))


def _orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer

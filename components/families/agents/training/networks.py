"""Networks from raw observations to a number for each action, and to a value."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """Two networks of tanh layers beside each other, one for actions and one for the value of a state.

    They share nothing: Andrychowicz et al. 2021, "What matters for on-policy deep actor-critic methods", find that
    better for small observations, tanh better than ReLU, and a last policy layer with small weights best.
    """

    unit: Tensor

    def __init__(self, unit: Sequence[float], hidden_sizes: Sequence[int], actions: int, return_unit: float) -> None:
        """unit: what an observation's numbers (N,) are divided by, so that they are about 1; return_unit: likewise."""
        super().__init__()
        self.return_unit = return_unit
        self.register_buffer("unit", torch.tensor(list(unit)))
        self.actions = _layers(len(unit), hidden_sizes, actions, 0.01)
        self.value = _layers(len(unit), hidden_sizes, 1, 1.0)

    def forward(self, observations: Tensor) -> Tensor:
        """Logits, or Q-values, (B, actions) of raw observations (B, N)."""
        scores: Tensor = self.actions(observations / self.unit)
        return scores

    def disturbed(self, observations: Tensor, noise: float, generator: torch.Generator) -> Tensor:
        """Observations with Gaussian noise: `noise` is its standard deviation, as a share of each number's unit."""
        drawn = torch.randn(observations.shape, generator=generator).to(observations)
        return observations + noise * self.unit * drawn

    if TYPE_CHECKING:  # torch says that a call returns anything

        def __call__(self, observations: Tensor) -> Tensor: ...

    def values(self, observations: Tensor) -> Tensor:
        """(B,) estimated returns of raw observations (B, N)."""
        values: Tensor = self.value(observations / self.unit)
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

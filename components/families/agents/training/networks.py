"""Networks from what is seen to a number for each action, and to a value; and the policy in numpy, for playing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
import torch
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


class Actor:
    """The policy with the weights of now, in numpy: torch's calls take longer than such small layers do."""

    def __init__(self, actions: nn.Sequential) -> None:
        """actions: of a Network."""
        layers = [layer for layer in actions if isinstance(layer, nn.Linear)]
        self._layers = [
            tuple(part.detach().float().cpu().numpy() for part in (each.weight, each.bias)) for each in layers
        ]

    def scores(self, seen: np.ndarray) -> np.ndarray:
        """Logits (B, actions) of what is seen (B, size)."""
        *hidden, (weight, bias) = self._layers
        for weights, biases in hidden:
            seen = np.tanh(seen @ weights.T + biases)
        found: np.ndarray = seen @ weight.T + bias
        return found

    def draw(self, seen: Tensor, generator: torch.Generator) -> Tensor:
        """Actions (B,) drawn from the policy's probabilities, on the device of `seen`."""
        scores = self.scores(seen.cpu().numpy())
        weights = np.exp(scores - scores.max(1, keepdims=True)).cumsum(1)
        # On the CPU, whose generator draws the same numbers everywhere.
        drawn = torch.rand(len(seen), 1, generator=generator).numpy() * weights[:, -1:]
        return torch.from_numpy((drawn >= weights[:, :-1]).sum(1)).to(seen.device)


def _array(parameter: Tensor) -> np.ndarray:
    found: np.ndarray = parameter.detach().float().cpu().numpy()
    return found


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

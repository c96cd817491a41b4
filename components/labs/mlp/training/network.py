"""A fully connected network in plain tensor operations: forward, loss, derivatives and descent, all written out.

Nothing here asks autograd for anything, and no layer of torch.nn computes; nn.Module and Optimizer only hold the
numbers, so that Lightning can save them and count the steps.

Symbols: B pictures in a batch; layer l has x (its input), z = x W + b (before its activation) and f(z), the next x.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from components.datasets.digits.reader import DIGITS, SIZE
from components.labs.mlp.params import Train


class Activation(NamedTuple):
    """f(z), and its derivative as a function of what f gave: cheaper than from z, and nothing more need be kept."""

    of: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    gain: float
    """Weights start with variance gain / inputs, so that values neither fade nor grow from layer to layer."""


def relu(z: Tensor) -> Tensor:
    return z.clamp(min=0)


def sigmoid(z: Tensor) -> Tensor:
    """1 / (1 + exp(-z)), by way of tanh, which overflows for no z."""
    return (torch.tanh(z / 2) + 1) / 2


ACTIVATIONS = {
    "relu": Activation(relu, lambda value: (value > 0).to(value.dtype), gain=2.0),  # He et al. 2015, eq. 10
    "sigmoid": Activation(sigmoid, lambda value: value * (1 - value), gain=1.0),
}


class Network(nn.Module):
    """Weights W (inputs, outputs) and biases b (outputs,) of every layer, and what is computed with them."""

    def __init__(self, sizes: Sequence[int], activation: str) -> None:
        """sizes: numbers that go in, those of each hidden layer, and those that come out."""
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        pairs = list(itertools.pairwise(sizes))
        weights = [torch.randn(pair) * math.sqrt(self.activation.gain / pair[0]) for pair in pairs]
        self.weights = nn.ParameterList([nn.Parameter(weight, requires_grad=False) for weight in weights])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(out), requires_grad=False) for _, out in pairs])

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, outputs) of images (B, ...), flattened."""
        return self.layers(images)[-1]

    def layers(self, images: Tensor) -> list[Tensor]:
        """The input of every layer, flattened images first, and at the end the logits."""
        values = [images.flatten(1)]
        for weight, bias in zip(self.weights, self.biases, strict=True):
            z = values[-1] @ weight + bias
            values.append(z if len(values) == len(self.weights) else self.activation.of(z))
        return values

    def loss_and_gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Mean cross-entropy (nats), and its derivatives by every weight and every bias. labels: (B,) int64."""
        *inputs, logits = self.layers(images)
        loss, slope = cross_entropy(logits, labels)
        by_weight: list[Tensor] = []
        by_bias: list[Tensor] = []
        # `slope` is dL/dz of the layer at hand. The chain rule: dL/dW = x' dL/dz, dL/db = sum of dL/dz over the batch,
        # dL/dx = dL/dz W', and below the activation dL/dz = dL/dx f'(z).
        for layer in reversed(range(len(inputs))):
            by_weight.insert(0, inputs[layer].T @ slope)
            by_bias.insert(0, slope.sum(dim=0))
            if layer > 0:
                slope = (slope @ self.weights[layer].T) * self.activation.derivative(inputs[layer])
        return loss, by_weight, by_bias


def network(params: Train) -> Network:
    """The network that the parameters ask for: ink (B, 1, 28, 28), 0 to 1, to logits (B, 10)."""
    return Network((SIZE * SIZE, *params.hidden_sizes, DIGITS), params.activation)


def cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of -log softmax(logits)[label], and its derivative by the logits: (softmax - one-hot) / B."""
    # The largest logit is subtracted first: no exp overflows, and the result stays the same.
    shifted = logits - logits.max(dim=1, keepdim=True).values
    powers = shifted.exp()
    total = powers.sum(dim=1, keepdim=True)
    rows = torch.arange(len(labels), device=labels.device)
    loss = (total.log()[:, 0] - shifted[rows, labels]).mean()
    slope = powers / total
    slope[rows, labels] -= 1
    return loss, slope / len(labels)


class GradientDescent(torch.optim.Optimizer):
    """v = momentum v + gradient + decay w;  w = w - rate v. The gradients are computed elsewhere."""

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        if closure is not None:
            closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if "velocity" not in self.state[weight]:
                    self.state[weight]["velocity"] = torch.zeros_like(weight)
                velocity = self.state[weight]["velocity"].mul_(group["momentum"]).add_(weight.grad)
                velocity.add_(weight, alpha=group["weight_decay"])
                weight.sub_(velocity, alpha=group["lr"])

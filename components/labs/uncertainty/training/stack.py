"""Many small networks as one: weights of all splits and members lie in one tensor, and one product serves them all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from components.labs.uncertainty.params import Recipe, Train
from components.labs.uncertainty.training.heads import Components, components, loss, outputs
from components.labs.uncertainty.training.problems import Problem


class Stack(nn.Module):
    """S splits x M members of a multilayer perceptron, network k = split k // M, member k % M.

    It reads standardised features (S M, B, d) and gives the numbers of the head (S M, B, outputs). Its buffers hold
    what standardises each split: mean and standard deviation of its own training rows.
    """

    center: Tensor
    spread: Tensor
    target_center: Tensor
    target_spread: Tensor
    penalty: Tensor

    def __init__(self, problem: Problem, params: Train) -> None:
        super().__init__()
        self.method, self.members = problem.method, problem.members
        self.recipe: Recipe = problem.recipe
        self.min_alpha, self.scale_weight = problem.min_alpha, params.scale_weight
        self.dropout_rate = params.dropout_rate if problem.method == "dropout" else 0.0
        networks = len(problem.train)
        sizes = (problem.features.shape[1], *self.recipe.hidden_sizes, outputs(problem.method))
        layers = list(itertools.pairwise(sizes))
        gains = [2.0] * (len(layers) - 1) + [1.0]  # He et al. 2015 before a ReLU
        self.weights = nn.ParameterList(
            [
                nn.Parameter(torch.randn(networks, *shape) * math.sqrt(gain / shape[0]))
                for shape, gain in zip(layers, gains, strict=True)
            ]
        )
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(networks, 1, shape[1])) for shape in layers])
        for name, values in problem.standards._asdict().items():
            self.register_buffer(name, torch.from_numpy(values).float())
        self.register_buffer("penalty", torch.from_numpy(problem.penalty).float()[:, None])

    def forward(self, features: Tensor) -> Tensor:
        """Raw numbers of the head; while training a dropout model, each value is dropped by chance."""
        values = features
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = torch.baddbmm(bias, values, weight)
            if layer < len(self.weights) - 1:
                values = torch.relu(values)
                if self.dropout_rate and self.training:
                    values = nn.functional.dropout(values, self.dropout_rate)
        return values

    def mixture(self, features: Tensor, masks: Sequence[Tensor]) -> Components:
        """(S M, T, B) of each, of standardised features (S M, B, d), as `networks` says."""
        raw = networks(features[:, None], list(self.weights), list(self.biases), masks)
        return components(raw, self.method, self.min_alpha)

    def loss(self, features: Tensor, target: Tensor) -> Tensor:
        """Mean over a network's rows (S M,). target: (S M, B), standardised."""
        rows = loss(self(features), target, self.method, self.penalty, self.min_alpha, self.scale_weight)
        return rows.mean(dim=1)

    def clip(self, largest: float) -> None:
        """Shortens each network's gradient to a norm of at most `largest`, as if it trained alone."""
        gradients = [weight.grad for weight in self.parameters() if weight.grad is not None]
        norm = torch.stack([(gradient**2).sum(dim=(1, 2)) for gradient in gradients]).sum(dim=0).sqrt()
        factor = (largest / (norm + 1e-9)).clamp(max=1)[:, None, None]
        for gradient in gradients:
            gradient.mul_(factor)


def networks(features: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
    """Raw numbers of the head (n, T, B, outputs) of n networks, each under T fixed dropout masks.

    features: (n or 1, 1, B, d). weights: (n, inputs, outputs) of each layer; biases: (n, 1, outputs). masks: of each
    hidden layer (T, width); without masks T is 1 and nothing is dropped.
    """
    values = features
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        values = values @ weight[:, None] + bias[:, None]
        if layer < len(weights) - 1:
            values = torch.relu(values)
            if masks:
                values = values * masks[layer][None, :, None, :]
    return values


def fixed_masks(recipe: Recipe, rate: float, count: int, seed: int) -> list[Tensor]:
    """`count` dropout masks of each hidden layer (count, width), scaled to keep the mean; equal for equal seeds.

    They are drawn once: a graph that drops at random exports, and onnxruntime then silently drops nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.rand(count, width, generator=generator) >= rate).float() / (1 - rate) for width in recipe.hidden_sizes
    ]

"""A stack as a graph from raw features to a predictive distribution: a mixture over members, and its moments."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from components.labs.uncertainty.training.heads import Components, components
from components.labs.uncertainty.training.stack import Stack, networks

OUTPUTS = ("prediction", "aleatoric", "epistemic", "location", "scale", "freedom", "claimed")
"""As in `runtime.Prediction`, but for the quantiles, which are attached. (A value inside the graph is called mean.)"""
GAUSSIAN_FREEDOM = 1e6
"""Degrees of freedom that a Gaussian component is given out with."""


class Predictor(nn.Module):
    """features (B, d) float32 in their own units and split (1,) int64 to OUTPUTS.

    calibration: (S,) what each split's component scales are multiplied by. masks: the dropout masks of each hidden
    layer (T, width); the mixture then has a component for each member under each mask.
    """

    center: Tensor
    spread: Tensor
    target_center: Tensor
    target_spread: Tensor
    calibration: Tensor

    def __init__(self, stack: Stack, calibration: Tensor, masks: Sequence[Tensor]) -> None:
        super().__init__()
        self.method, self.min_alpha, self.members = stack.method, stack.min_alpha, stack.members
        self.layers = len(stack.weights)
        for index, (weight, bias) in enumerate(zip(stack.weights, stack.biases, strict=True)):
            self.register_buffer(f"weight_{index}", self._by_split(weight))
            self.register_buffer(f"bias_{index}", self._by_split(bias))
        for name in ("center", "spread", "target_center", "target_spread"):
            self.register_buffer(name, getattr(stack, name).detach().clone())
        self.register_buffer("calibration", calibration.float())
        self.masks = len(masks)
        for index, mask in enumerate(masks):
            self.register_buffer(f"mask_{index}", mask)

    def forward(self, features: Tensor, split: Tensor) -> tuple[Tensor, ...]:
        found = self.mixture(features, split)
        # Components of one member are its masks; without dropout a member is one component.
        variance = found.scale**2
        if self.method == "evidential":
            variance = variance * found.freedom / (found.freedom - 2) - found.claimed**2
        mean = found.location.mean(dim=1)
        aleatoric = variance.mean(dim=1).sqrt()
        epistemic = ((found.location - mean[:, None]) ** 2).mean(dim=1).sqrt()
        center, spread = self._of(self.target_center, split), self._of(self.target_spread, split)
        return (
            mean * spread + center,
            aleatoric * spread,
            epistemic * spread,
            found.location * spread + center,
            found.scale * spread,
            found.freedom,
            found.claimed * spread,
        )

    def mixture(self, features: Tensor, split: Tensor) -> Components:
        """The components (B, C) of a standardised target."""
        values = (features - self._of(self.center, split)) / self._of(self.spread, split)
        weights, biases = (
            [self._of(self.get_buffer(f"{part}_{layer}"), split) for layer in range(self.layers)]
            for part in ("weight", "bias")
        )
        masks = [self.get_buffer(f"mask_{layer}") for layer in range(self.masks)]
        raw = networks(values[None, None], weights, biases, masks)
        found = components(raw.permute(2, 0, 1, 3).flatten(1, 2), self.method, self.min_alpha)
        freedom = found.freedom if self.method == "evidential" else torch.full_like(found.scale, GAUSSIAN_FREEDOM)
        factor = self._of(self.calibration, split)
        return Components(found.location, found.scale * factor, freedom, found.claimed * factor)

    def _of(self, values: Tensor, split: Tensor) -> Tensor:
        """The part of one split, of a buffer whose first dimension is the splits."""
        found: Tensor = values.index_select(0, split)[0]
        return found

    def _by_split(self, values: Tensor) -> Tensor:
        """(S, M, ...) of (S M, ...)."""
        return values.detach().clone().reshape(-1, self.members, *values.shape[1:])

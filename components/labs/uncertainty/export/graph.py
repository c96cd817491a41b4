"""A stack as a graph from raw features to a predictive distribution: moments, and quantiles at the levels asked for.

The quantiles of a mixture have no formula. They are found inside the graph, by cutting an interval into parts, so
that every caller has the same ones. Student's t distribution function has no ONNX operator either (lgamma and digamma
do not export): Hill's normal approximation stands for it, tested to 1e-3 in probability.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from components.labs.uncertainty.training.heads import Components, components
from components.labs.uncertainty.training.stack import Stack, networks

REACH = 60.0
"""Half of the interval in which a quantile is searched, in scales of the widest component. With three degrees of
freedom, t = 60 is the level 1e-5."""
PARTS, STAGES = 16, 3
"""An interval is cut into so many parts, so many times, and the last part is interpolated: 1e-4 of a scale."""
GAUSSIAN_FREEDOM = 1e6
"""Degrees of freedom that a Gaussian component is given out with."""


class Predictor(nn.Module):
    """features (B, d) float32 in their own units, split (1,) int64 and levels (Q,) float32 to the tensors of
    `runtime.Prediction`, in its order.

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

    def forward(self, features: Tensor, split: Tensor, levels: Tensor) -> tuple[Tensor, ...]:
        found = self.mixture(features, split)
        # Components of one member are its masks; without dropout a member is one component.
        variance = found.scale**2
        if self.method == "evidential":
            variance = variance * found.freedom / (found.freedom - 2) - found.claimed**2
        mean = found.location.mean(dim=1)
        aleatoric = variance.mean(dim=1).sqrt()
        epistemic = ((found.location - mean[:, None]) ** 2).mean(dim=1).sqrt()
        center, spread = self._of(self.target_center, split), self._of(self.target_spread, split)
        quantiles = self.quantiles(found, levels)
        return (
            mean * spread + center,
            aleatoric * spread,
            epistemic * spread,
            quantiles * spread + center,
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

    def quantiles(self, found: Components, levels: Tensor) -> Tensor:
        """(B, Q) of mixtures (B, C) at levels (Q,)."""
        components = Components(*(each[:, None, None] for each in found))
        reach = found.scale.amax(dim=1)[:, None] * REACH
        low = found.location.amin(dim=1)[:, None] - reach + 0 * levels
        width = found.location.amax(dim=1)[:, None] + reach - low
        steps = torch.arange(1, PARTS, dtype=low.dtype)
        for _ in range(STAGES):
            width = width / PARTS
            points = low[..., None] + width[..., None] * steps
            below = self.probability(components, points) < levels[:, None]
            low = low + width * below.to(low.dtype).sum(dim=-1)
        first, last = self.probability(components, torch.stack([low, low + width], dim=-1)).unbind(dim=-1)
        return low + width * ((levels - first) / (last - first).clamp(min=1e-7)).clamp(0, 1)

    def probability(self, found: Components, points: Tensor) -> Tensor:
        """The mixture's distribution function at points (B, Q, K). found: (B, 1, 1, C)."""
        z = (points[..., None] - found.location) / found.scale
        if self.method == "evidential":
            z = normal_score(z, found.freedom)
        return torch.erf(z * math.sqrt(0.5)).mean(dim=-1) / 2 + 0.5

    def _of(self, values: Tensor, split: Tensor) -> Tensor:
        """The part of one split, of a buffer whose first dimension is the splits."""
        found: Tensor = values.index_select(0, split)[0]
        return found

    def _by_split(self, values: Tensor) -> Tensor:
        """(S, M, ...) of (S M, ...)."""
        return values.detach().clone().reshape(-1, self.members, *values.shape[1:])


def normal_score(t: Tensor, freedom: Tensor) -> Tensor:
    """z with the same probability below it under a standard normal as t has under Student's t.

    Hill 1970, "Algorithm 395: Student's t-distribution".
    """
    a = freedom - 0.5
    b = 48 * a**2
    y = a * torch.log1p(t**2 / freedom)
    series = (((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y**2 + 100.0 + b) + y + 3.0
    return torch.sign(t) * (series / b + 1) * torch.sqrt(y)

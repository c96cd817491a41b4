"""Quantiles of a mixture, as a graph of their own that is attached to every set's graph.

They have no formula. They are found by cutting an interval into parts, inside the graph, so that every caller has the
same ones. Student's t distribution function has no ONNX operator (lgamma and digamma do not export): Hill's normal
approximation stands for it, tested to 3e-4 in probability for two degrees of freedom and to 2e-5 for three.
"""

from __future__ import annotations

import math
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from components.onnx.export import export_graph

REACH = 60.0
"""Half of the interval in which a quantile is searched, in scales of the widest component. With three degrees of
freedom, t = 60 is the level 1e-5."""
PARTS, STAGES = 8, 4
"""An interval is cut into so many parts, so many times, and the last part is interpolated: 1e-4 of a scale."""
INPUTS = ("location", "scale", "freedom")
"""Outputs of a set's graph that its quantiles are found from."""


class Quantiles(nn.Module):
    """location, scale, freedom (B, C) and levels (Q,) to quantiles (B, Q), in the components' unit."""

    def __init__(self, gaussian: bool) -> None:
        super().__init__()
        self.gaussian = gaussian

    def forward(self, location: Tensor, scale: Tensor, freedom: Tensor, levels: Tensor) -> Tensor:
        reach = scale.amax(dim=1)[:, None] * REACH
        low = location.amin(dim=1)[:, None] - reach + 0 * levels
        width = location.amax(dim=1)[:, None] + reach - low
        parts = [each[:, None, None] for each in (location, scale, freedom)]
        steps = torch.arange(1, PARTS, dtype=low.dtype)
        for _ in range(STAGES):
            width = width / PARTS
            below = self.probability(low[..., None] + width[..., None] * steps, *parts) < levels[:, None]
            low = low + width * below.to(low.dtype).sum(dim=-1)
        first, last = self.probability(torch.stack([low, low + width], dim=-1), *parts).unbind(dim=-1)
        return low + width * ((levels - first) / (last - first).clamp(min=1e-7)).clamp(0, 1)

    def probability(self, points: Tensor, location: Tensor, scale: Tensor, freedom: Tensor) -> Tensor:
        """The mixture's distribution function at points (B, Q, K). Its components: (B, 1, 1, C)."""
        z = (points[..., None] - location) / scale
        if not self.gaussian:
            z = normal_score(z, freedom)
        return torch.erf(z * math.sqrt(0.5)).mean(dim=-1) / 2 + 0.5


def normal_score(t: Tensor, freedom: Tensor) -> Tensor:
    """z with the same probability below it under a standard normal as t has under Student's t.

    Hill 1970, "Algorithm 395: Student's t-distribution".
    """
    a = freedom - 0.5
    b = 48 * a**2
    y = a * torch.log1p(t**2 / freedom)
    series = (((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y**2 + 100.0 + b) + y + 3.0
    return torch.sign(t) * (series / b + 1) * torch.sqrt(y)


@cache
def quantiles_graph(gaussian: bool) -> bytes:
    """The graph of `Quantiles`, for any number of rows, components and levels."""
    inputs = {
        **dict.fromkeys(INPUTS, np.ones((3, 4), np.float32)),
        "levels": np.linspace(0.1, 0.9, 5, dtype=np.float32),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "quantiles.onnx")
        export_graph(Quantiles(gaussian), inputs, ["quantiles"], path, axes=(0, 1), batch=None)
        return path.read_bytes()


def attach(model: onnx.ModelProto, gaussian: bool) -> None:
    """Adds the graph of `Quantiles` to a set's, whose outputs it reads. Its output comes last."""
    added = onnx.compose.add_prefix(
        onnx.load_from_string(quantiles_graph(gaussian)),
        "quantiles_",
        rename_inputs=False,
        rename_outputs=False,
        rename_functions=False,
    ).graph
    model.graph.node.extend(added.node)
    model.graph.initializer.extend(added.initializer)
    model.graph.value_info.extend(added.value_info)
    model.graph.input.extend(value for value in added.input if value.name not in INPUTS)
    model.graph.output.extend(added.output)

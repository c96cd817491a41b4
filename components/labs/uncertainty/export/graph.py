"""A stack as a graph from raw features to a predictive distribution: a mixture over members, its moments.

Stacks of one shape, as many layers with the same head, have the same graph: `template` traces it once with the weights
as inputs, and `write_graph` puts a stack's weights in their place.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from components.labs.uncertainty.export.quantiles import INPUTS, Quantiles, attach
from components.labs.uncertainty.training.heads import Components, components, outputs
from components.labs.uncertainty.training.stack import Stack, networks
from components.onnx.export import export_graph

OUTPUTS = ("prediction", "aleatoric", "epistemic", "location", "scale", "freedom", "claimed")
"""As in `runtime.Prediction`, but for the quantiles, which are attached. (A value inside the graph is called mean.)"""
GAUSSIAN_FREEDOM = 1e6
"""Degrees of freedom that a Gaussian component is given out with."""
STANDARDS = ("center", "spread", "target_center", "target_spread")
"""Names of what standardises each split."""
EXAMPLE = {"rows": 5, "splits": 3, "features": 7, "members": 4, "masks": 2, "width": 11}
"""Sizes that a template is traced with: all differ, so that none is taken for another, and none binds the graph."""


class Shape(NamedTuple):
    """What decides a graph, but for its weights."""

    method: str
    layers: int
    masked: bool

    @property
    def weights(self) -> list[str]:
        """Names of the inputs that a stack's weights are, in their order."""
        hidden = range(self.layers - 1) if self.masked else ()
        layers = [f"{part}_{layer}" for layer in range(self.layers) for part in ("weight", "bias")]
        return [*STANDARDS, "calibration", "min_alpha", *layers, *(f"mask_{layer}" for layer in hidden)]


class Program(nn.Module):
    """features (B, d) float32 in their own units, split (1,) int64 and the weights to OUTPUTS."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, features: Tensor, split: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        by_name = dict(zip(self.shape.weights, weights, strict=True))
        masks = [values for name, values in by_name.items() if name.startswith("mask_")]
        # All others have a part for each split.
        of_split = {
            name: values.index_select(0, split)[0] for name, values in by_name.items() if not name.startswith("mask_")
        }
        found = self.mixture(features, of_split, masks)
        # Components of one member are its masks; without dropout a member is one component.
        variance = found.scale**2
        if self.shape.method == "evidential":
            variance = variance * found.freedom / (found.freedom - 2) - found.claimed**2
        mean = found.location.mean(dim=1)
        aleatoric = variance.mean(dim=1).sqrt()
        epistemic = ((found.location - mean[:, None]) ** 2).mean(dim=1).sqrt()
        center, spread = of_split["target_center"], of_split["target_spread"]
        return (
            mean * spread + center,
            aleatoric * spread,
            epistemic * spread,
            found.location * spread + center,
            found.scale * spread,
            found.freedom,
            found.claimed * spread,
        )

    def mixture(self, features: Tensor, of_split: Mapping[str, Tensor], masks: Sequence[Tensor]) -> Components:
        """The calibrated components (B, C) of a standardised target."""
        values = (features - of_split["center"]) / of_split["spread"]
        layers = range(self.shape.layers)
        weights, biases = (
            [of_split[f"weight_{layer}"] for layer in layers],
            [of_split[f"bias_{layer}"][:, None] for layer in layers],
        )
        raw = networks(values[None, None], weights, biases, masks)
        found = components(raw.permute(2, 0, 1, 3).flatten(1, 2), self.shape.method, of_split["min_alpha"])
        evidential = self.shape.method == "evidential"
        freedom = found.freedom if evidential else torch.full_like(found.scale, GAUSSIAN_FREEDOM)
        factor, mean = of_split["calibration"], found.location.mean(dim=1, keepdim=True)
        location = mean + factor * (found.location - mean)
        return Components(location, found.scale * factor, freedom, found.claimed * factor)


class Predictor(nn.Module):
    """A stack's Program: features (B, d), split (1,) int64 and levels (Q,) to OUTPUTS and the quantiles (B, Q).

    calibration: (S,) how many times as wide about its mean each split's mixture becomes. masks: the dropout masks of
    each hidden layer (T, width); the mixture then has a component for each member under each mask.
    """

    def __init__(self, stack: Stack, calibration: Tensor, masks: Sequence[Tensor]) -> None:
        super().__init__()
        self.program = Program(Shape(stack.method, len(stack.weights), bool(masks)))
        self.quantiles = Quantiles(stack.method != "evidential")
        found = {name: getattr(stack, name) for name in STANDARDS}
        found |= {
            "calibration": calibration.float(),
            "min_alpha": torch.full_like(calibration.float(), stack.min_alpha),
        }
        # (S, M, ...) of (S M, ...); a bias has an axis of size one there, which would not export.
        for layer, (weight, bias) in enumerate(zip(stack.weights, stack.biases, strict=True)):
            found[f"weight_{layer}"] = weight.reshape(-1, stack.members, *weight.shape[1:])
            found[f"bias_{layer}"] = bias.reshape(-1, stack.members, bias.shape[-1])
        found |= {f"mask_{layer}": mask for layer, mask in enumerate(masks)}
        self.weights = {name: found[name].detach().clone() for name in self.program.shape.weights}

    def forward(self, features: Tensor, split: Tensor, levels: Tensor) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = self.program(features, split, *self.weights.values())
        mixture = [found[OUTPUTS.index(name)] for name in INPUTS]
        return (*found, self.quantiles(*mixture, levels))


def write_graph(predictor: Predictor, path: Path) -> None:
    """Writes the predictor's graph, for any number of rows and levels."""
    model = onnx.load_from_string(template(predictor.program.shape))
    inputs = {value.name: value for value in model.graph.input}
    for name, values in predictor.weights.items():
        model.graph.input.remove(inputs[name])
        model.graph.initializer.append(onnx.numpy_helper.from_array(values.numpy(), name))
    width = inputs["features"].type.tensor_type.shape.dim[1]
    width.dim_value = predictor.weights["center"].shape[1]
    attach(model, predictor.quantiles.gaussian)
    onnx.checker.check_model(model)
    onnx.save(model, path)


@cache
def template(shape: Shape) -> bytes:
    """The graph of all stacks of a shape, with the weights as inputs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "template.onnx")
        export_graph(Program(shape), example(shape), OUTPUTS, path, axes=range(4), batch=None)
        return path.read_bytes()


def example(shape: Shape) -> dict[str, np.ndarray]:
    """Inputs of a Program by name: numbers of no meaning."""
    rows, splits, features, members, masks, width = EXAMPLE.values()
    sizes = [features, *(width + layer for layer in range(shape.layers - 1)), outputs(shape.method)]
    of_split = {"center": (splits, features), "spread": (splits, features)}
    found = {
        "features": np.zeros((rows, features), np.float32),
        "split": np.array([1]),
    }
    for name in shape.weights:
        kind, _, layer = name.partition("_")
        if kind == "weight":
            size: tuple[int, ...] = (splits, members, sizes[int(layer)], sizes[int(layer) + 1])
        elif kind == "bias":
            size = (splits, members, sizes[int(layer) + 1])
        elif kind == "mask":
            size = (masks, sizes[int(layer) + 1])
        else:
            size = of_split.get(name, (splits,))
        found[name] = np.ones(size, np.float32)
    return found

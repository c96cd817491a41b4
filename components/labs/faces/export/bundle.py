"""Turns a trained face model into ONNX graphs, float and int8, and checks that they compute the same."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.bundle import BundleSpec
from components.datasets.faces.reader import SIZE, centre, read_split
from components.files import write_json
from components.labs.faces import params
from components.labs.faces.export.graphs import crop_graph, quantised
from components.labs.faces.export.pictures import write_pictures
from components.labs.faces.runtime.model import dense_graph
from components.labs.faces.training.dbvae import DebiasingVae
from components.labs.faces.training.model import Encoder, FaceClassifier, folded
from components.onnx.export import export_graph
from components.onnx.parity import Case, check_parity, compare
from components.training.finite import check_finite

PARITY_BATCHES = (1, 2, 7, 64)
"""Batch sizes at which the graphs are compared; the export itself sees another."""
PARITY_SIDES = ((64, 64), (96, 160), (240, 128))
"""Heights and widths at which the map of a whole photograph is compared."""


class Dense(nn.Module):
    """Images (B, H, W, 3) uint8 as a map of logits (B, h, w): what the graphs compute."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = _only(encoder, slice(0, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder.dense(scaled(images))[:, 0]


class Means(nn.Module):
    """Images (B, SIZE, SIZE, 3) uint8 as latent means (B, latent_dim)."""

    def __init__(self, encoder: Encoder, latent_dim: int) -> None:
        super().__init__()
        self.encoder = _only(encoder, slice(1, 1 + latent_dim))

    def forward(self, images: Tensor) -> Tensor:
        means: Tensor = self.encoder(scaled(images))
        return means


def export(model: FaceClassifier, prepared: Path, out: Path, params: params.Export) -> BundleSpec:
    """Writes <variant>.onnx and <variant>_dense.onnx of each variant, encoder.onnx of a dbvae, and parity.json.

    A dense graph gives the map of logits of a whole photograph; a dbvae's pictures are written too. Raises UserError
    when a weight is NaN or infinite, or a float graph differs from the model by more than `params.parity_tolerance`.
    """
    check_finite(model)
    model = model.cpu().float().eval()
    train, validation = read_split(prepared, "train"), read_split(prepared, "validation")
    graphs = {"float_dense": out / "float_dense.onnx"}
    dense = Dense(model.encoder)
    export_graph(dense, _example(96, 112), ["logits"], graphs["float_dense"], axes=(0, 1, 2), batch=None)
    if "int8" in params.variants:
        draw = np.random.default_rng(0)
        known = np.flatnonzero(~train.shows(model.params.held_out))
        rows = np.sort(draw.permutation(known)[: params.calibration])
        graphs["int8_dense"] = quantised(graphs["float_dense"], out / "int8_dense.onnx", centre(train.images[rows]))
    for variant in ("float", "int8"):
        if variant in params.variants:
            graphs[variant] = crop_graph(graphs[dense_graph(variant)], out / f"{variant}.onnx", SIZE)
    if "float" not in params.variants:
        graphs.pop("float_dense").unlink()
    spec: dict[str, Any] = {
        "size": SIZE,
        "picture_size": train.images.shape[1],
        "model": model.params.model,
        "variants": list(params.variants),
        "held_out": list(model.params.held_out),
    }
    if isinstance(model, DebiasingVae):
        spec["latent_dim"] = model.params.latent_dim
        graphs["encoder"] = out / "encoder.onnx"
        means = Means(model.encoder, model.params.latent_dim)
        export_graph(means, _example(SIZE, SIZE), ["means"], graphs["encoder"], batch=None)
        write_pictures(model, validation, out, params.pictures)
    report = parity(model, graphs, np.ascontiguousarray(centre(validation.images[:: max(1, len(validation) // 256)])))
    check_parity(report, params.parity_tolerance)
    write_json(out / "parity.json", report)
    return BundleSpec(graphs=graphs, spec=spec)


def scaled(images: Tensor) -> Tensor:
    """(B, 3, H, W) in 0 to 1, as training has it, of images (B, H, W, 3) uint8."""
    return images.permute(0, 3, 1, 2).float() / 255


def parity(model: FaceClassifier, graphs: dict[str, Path], images: np.ndarray) -> dict[str, list[Case]]:
    """Largest differences between the model and each graph, over batches and sizes, on real images (N, 64, 64, 3)."""
    report = {}
    for name, path in graphs.items():
        pictures = _mosaics(images) if name.endswith("_dense") else _batches(images)
        report[name] = compare(path, partial(_reference, model, name), ({"images": each} for each in pictures))
    return report


def _reference(model: FaceClassifier, name: str, pictures: Tensor) -> Tensor:
    """The values that the graph of that name must give, by the model as it was trained: batch norm not folded."""
    outputs = model.encoder.dense(scaled(pictures))
    if name == "encoder":
        return outputs[:, 1 : 1 + model.params.latent_dim].flatten(1)
    return outputs[:, 0] if name.endswith("_dense") else outputs[:, 0].flatten()


def _batches(images: np.ndarray) -> list[np.ndarray]:
    return [np.resize(images, (batch, *images.shape[1:])) for batch in PARITY_BATCHES]


def _mosaics(images: np.ndarray) -> list[np.ndarray]:
    """Larger pictures put together from images."""
    mosaics = []
    for height, width in PARITY_SIDES:
        rows, columns = -(-height // SIZE), -(-width // SIZE)
        tiles = np.resize(images, (rows, columns, SIZE, SIZE, 3)).transpose(0, 2, 1, 3, 4)
        picture = tiles.reshape(rows * SIZE, columns * SIZE, 3)[None, :height, :width]
        mosaics.append(np.ascontiguousarray(picture))
    return mosaics


def _only(encoder: Encoder, wanted: slice) -> Encoder:
    """The encoder for inference, with these of its outputs."""
    encoder = folded(encoder)
    assert encoder.outputs.bias is not None  # noqa: S101
    encoder.outputs.weight = nn.Parameter(encoder.outputs.weight[wanted].detach().contiguous())
    encoder.outputs.bias = nn.Parameter(encoder.outputs.bias[wanted].detach().contiguous())
    encoder.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return encoder


def _example(height: int, width: int) -> dict[str, np.ndarray]:
    return {"images": np.zeros((2, height, width, 3), np.uint8)}

"""Turns the fine-tuned network into ONNX graphs that read bytes, and checks that they compute the same."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from components.bundle import BundleSpec
from components.datasets.faces.category_reader import photographs
from components.labs.transfer.params import Export
from components.labs.transfer.training.model import TransferModel
from components.onnx.classifier import export_classifier

PARITY_BATCHES = (1, 2, 7, 16)
"""Batch sizes at which the graphs are compared; the export itself sees another."""
CALIBRATION_BATCH = 64
"""Photographs that set the scales of int8 together."""


class Looking(nn.Module):
    """Bytes (B, S, S, 3) to logits (B, categories) and features (B, F), of which the API makes heads of its own."""

    def __init__(self, model: TransferModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.model.features(images)
        return self.model.head(features), features


def export(model: TransferModel, prepared: Path, out: Path, params: Export) -> BundleSpec:
    """Writes <variant>.onnx of each variant and parity.json into `out`; raises as `export_classifier` does."""
    size = model.params.input_size
    images = photographs(prepared, "train", size, model.params.labelled, model.params.seed).images
    spec = {"size": size, "categories": list(model.categories)}
    return export_classifier(
        Looking(model), images, out, params, spec, PARITY_BATCHES, CALIBRATION_BATCH, ("logits", "features")
    )

"""Turns the fine-tuned network into ONNX graphs that read bytes, and checks that they compute the same."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.bundle import BundleSpec
from components.datasets.faces.category_reader import Labelled, photographs
from components.labs.transfer.params import Export
from components.labs.transfer.training.batches import READ_AT_ONCE
from components.labs.transfer.training.model import TransferModel
from components.onnx.classifier import export_classifier

PARITY_BATCHES = (1, 2, 7, 16)
"""Batch sizes at which the graphs are compared; the export itself sees another."""
CALIBRATION_BATCH = 64
"""Photographs that set the scales of int8 together."""
LOWEST, HIGHEST = 0.25, 20.0
"""Temperatures that are looked at: where few validation photographs are all right, none is low enough."""


class Looking(nn.Module):
    """Bytes (B, S, S, 3) to logits (B, categories) and features (B, F), of which the API makes heads of its own.

    temperature: what the model's logits are divided by.
    """

    def __init__(self, model: TransferModel, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.model.features(images)
        return self.model.head(features) / self.temperature, features


def export(model: TransferModel, prepared: Path, out: Path, params: Export) -> BundleSpec:
    """Writes <variant>.onnx of each variant and parity.json into `out`; raises as `export_classifier` does."""
    size = model.params.input_size
    images = photographs(prepared, "train", size, model.params.labelled, model.params.seed).images
    temperature = calibrated(model.cpu().float().eval(), photographs(prepared, "validation", size))
    spec = {"size": size, "categories": list(model.categories), "temperature": temperature}
    looking = Looking(model, temperature)
    outputs = ("logits", "features")
    return export_classifier(
        looking, images, out, params, spec, PARITY_BATCHES, CALIBRATION_BATCH, outputs, params.float_convolutions
    )


@torch.inference_mode()
def calibrated(model: TransferModel, validation: Labelled) -> float:
    """The temperature that makes the probabilities of validation photographs likeliest (Guo et al. 2017).

    Label smoothing and a strong weight decay leave a model that is less sure than it should be.
    """
    from scipy.optimize import minimize_scalar

    pieces = torch.from_numpy(validation.images).split(READ_AT_ONCE)
    logits, labels = torch.cat([model(some) for some in pieces]), torch.from_numpy(validation.labels)

    def loss(temperature: float) -> float:
        return float(functional.cross_entropy(logits / temperature, labels))

    return float(minimize_scalar(loss, bounds=(LOWEST, HIGHEST), method="bounded").x)

"""Turns a network of digits into ONNX graphs that read bytes, and checks that they compute the same."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from components.bundle import BundleSpec
from components.datasets.digits.reader import DIGITS, SIZE, read_split
from components.families.classification.params import Export
from components.families.classification.training.ink import to_ink
from components.onnx.classifier import export_classifier

PARITY_BATCHES = (1, 2, 7, 64, 129)
"""Batch sizes at which the graphs are compared; the export itself sees another."""
CALIBRATION_BATCH = 100
"""Digits that set the scales of int8 together."""


class FromBytes(nn.Module):
    """A network with its preprocessing in front: images (B, 28, 28) uint8 to logits (B, 10)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(to_ink(images))
        return logits


def export(network: nn.Module, prepared: Path, out: Path, params: Export) -> BundleSpec:
    """As `export_classifier`, of a network that reads ink (B, 1, 28, 28) float32, 0 to 1."""
    images = read_split(prepared, "train").images
    spec = {"size": SIZE, "digits": DIGITS}
    return export_classifier(FromBytes(network), images, out, params, spec, PARITY_BATCHES, CALIBRATION_BATCH)

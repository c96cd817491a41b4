"""Turns a network of digits into ONNX graphs that read bytes, and checks that they compute the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from components.bundle import BundleSpec
from components.datasets.digits.reader import DIGITS, SIZE, read_split
from components.families.classification.export.detectors import choose_detector
from components.families.classification.params import Export
from components.families.classification.runtime import DISTANCE
from components.families.classification.training.ink import to_ink
from components.files import read_json, write_json
from components.onnx.classifier import export_classifier
from components.onnx.parity import check_parity, compare

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
    """As `export_classifier`, of a network that reads ink (B, 1, 28, 28) float32, 0 to 1; and distance.onnx.

    distance.onnx says how far a picture is from the training digits: what `choose_detector` chose.
    """
    train, validation = (read_split(prepared, split) for split in ("train", "validation"))
    chosen = choose_detector(train, validation, params)
    spec = {
        "size": SIZE,
        "digits": DIGITS,
        "abstain_distance": chosen.limit,
        "detector": chosen.name,
        "detectors": chosen.tried,
    }
    found = export_classifier(FromBytes(network), train.images, out, params, spec, PARITY_BATCHES, CALIBRATION_BATCH)
    path = out / f"{DISTANCE}.onnx"
    onnx.save(chosen.model, path)
    # This graph has no torch model that it was made from: ONNX's own, in numpy, says what it means.
    meant: Any = ReferenceEvaluator(chosen.model)
    some = [validation.images[np.arange(batch) % len(validation.images)] for batch in PARITY_BATCHES]
    cases = compare(
        path,
        lambda images: torch.from_numpy(np.asarray(meant.run(None, {"images": images.numpy()})[0])),
        [{"images": images} for images in some],
    )
    report = read_json(out / "parity.json") | {DISTANCE: cases}
    check_parity(report, params.parity_tolerance)
    write_json(out / "parity.json", report)
    return BundleSpec(graphs={**found.graphs, DISTANCE: path}, spec=found.spec)

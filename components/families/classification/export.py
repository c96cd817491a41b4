"""Turns a network of digits into ONNX graphs that read bytes, and checks that they compute the same."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from components.bundle import BundleSpec
from components.datasets.digits.reader import DIGITS, SIZE, read_split
from components.errors import UserError
from components.families.classification.params import Export
from components.families.classification.runtime import DigitModel
from components.families.classification.training.batches import to_ink
from components.files import write_json
from components.onnx.quantisation import write_int8

PARITY_BATCHES = (1, 2, 7, 64, 129)
"""Batch sizes the graphs are compared at; the export itself sees another."""


class FromBytes(nn.Module):
    """A network with its preprocessing in front: images (B, 28, 28) uint8 to logits (B, 10)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(to_ink(images))
        return logits


def export(network: nn.Module, prepared: Path, out: Path, params: Export) -> BundleSpec:
    """Writes <variant>.onnx of each variant and parity.json into `out`.

    network: (B, 1, 28, 28) float32, 0 to 1, to logits (B, 10). Raises UserError when a weight is NaN or infinite, or
    the float graph differs from the network by more than `params.parity_tolerance`.
    """
    if not all(weight.isfinite().all() for weight in network.state_dict().values()):
        raise UserError("the model has weights that are not numbers: training diverged; lower its learning rate")
    network = FromBytes(network.cpu().float()).eval()
    images = read_split(prepared, "train").images
    images = images[np.linspace(0, len(images) - 1, min(params.calibration, len(images))).astype(int)]
    whole = out / "float.onnx"
    spec = {"size": SIZE, "digits": DIGITS, "variants": list(params.variants)}
    write_float(network, whole)
    report = {"float": parity(network, spec, whole, images)}
    check(report["float"], params.parity_tolerance)
    if "int8" in params.variants:
        batches = ({"images": some} for some in np.array_split(images, max(1, len(images) // 100)))
        write_int8(whole, out / "int8.onnx", batches, ["Conv", "Gemm", "MatMul"])
        # It differs by design, and evaluation measures what that costs.
        report["int8"] = parity(network, spec, out / "int8.onnx", images)
    if "float" not in params.variants:
        whole.unlink()
    graphs: dict[str, Path] = {variant: out / f"{variant}.onnx" for variant in params.variants}
    write_json(out / "parity.json", report)
    return BundleSpec(graphs=graphs, spec=spec)


def write_float(network: nn.Module, path: Path) -> None:
    """The network as torch exports it, one file, any batch size."""
    for talker in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(talker).setLevel(logging.ERROR)
    example = torch.zeros(3, SIZE, SIZE, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's exporter about torch's own deprecations
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=["images"],
            output_names=["logits"],
            # AUTO: a named dimension froze silently in a second export of the same process.
            dynamic_shapes=({0: torch.export.Dim.AUTO},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, path)


def parity(network: nn.Module, spec: dict[str, Any], graph: Path, images: np.ndarray) -> list[dict[str, Any]]:
    """Largest difference of logits between network and graph at each of PARITY_BATCHES, on real pictures."""
    exported = DigitModel(spec, onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]))
    report = []
    for batch in PARITY_BATCHES:
        some = images[np.arange(batch) % len(images)]
        with torch.inference_mode():
            expected = network(torch.from_numpy(some)).numpy()
        report.append({"batch": batch, "logits": float(np.abs(exported.logits(some, batch) - expected).max())})
    return report


def check(float_parity: list[dict[str, Any]], tolerance: float) -> None:
    """Raises UserError where a float graph's logits differ by more than `tolerance`, or are no numbers."""
    for case in float_parity:
        if not case["logits"] <= tolerance:
            raise UserError(
                f"the float graph differs from the model by {case['logits']:.2g} in its logits "
                f"(batch {case['batch']}; allowed {tolerance:g}): it is not exported"
            )

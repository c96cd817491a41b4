"""Turns the fine-tuned network into ONNX graphs that read bytes, and checks that they compute the same."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from components.bundle import BundleSpec
from components.datasets.faces.category_reader import middle, photographs
from components.errors import UserError
from components.families.classification.export import check
from components.files import write_json
from components.labs.transfer.params import Export
from components.labs.transfer.runtime import CategoryModel
from components.labs.transfer.training.model import TransferModel
from components.onnx.quantisation import write_int8

PARITY_BATCHES = (1, 2, 7, 16)
"""Batch sizes the graphs are compared at; the export itself sees another."""


def export(model: TransferModel, prepared: Path, out: Path, params: Export) -> BundleSpec:
    """Writes <variant>.onnx of each variant and parity.json into `out`.

    Raises UserError when a weight is NaN or infinite, or the float graph differs from the model by more than
    `params.parity_tolerance`.
    """
    if not all(weight.isfinite().all() for weight in model.state_dict().values()):
        raise UserError("the model has weights that are not numbers: training diverged; lower its learning rate")
    model = model.cpu().float().eval()
    images = middle(photographs(prepared, "train").images, model.params.input_size)
    images = images[np.linspace(0, len(images) - 1, min(params.calibration, len(images))).astype(int)]
    whole = out / "float.onnx"
    spec: dict[str, Any] = {
        "size": model.params.input_size,
        "categories": list(model.categories),
        "variants": list(params.variants),
    }
    write_float(model, whole)
    report = {"float": parity(model, spec, whole, images)}
    check(report["float"], params.parity_tolerance)
    if "int8" in params.variants:
        batches = ({"images": batch} for batch in np.array_split(images, max(1, len(images) // 64)))
        write_int8(whole, out / "int8.onnx", batches, ["Conv", "Gemm", "MatMul"])
        # It differs by design, and evaluation measures what that costs.
        report["int8"] = parity(model, spec, out / "int8.onnx", images)
    if "float" not in params.variants:
        whole.unlink()
    graphs: dict[str, Path] = {variant: out / f"{variant}.onnx" for variant in params.variants}
    write_json(out / "parity.json", report)
    return BundleSpec(graphs=graphs, spec=spec)


def write_float(model: TransferModel, path: Path) -> None:
    """The model as torch exports it, one file, any batch size."""
    for talker in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(talker).setLevel(logging.ERROR)
    size = model.params.input_size
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's exporter about torch's own deprecations
        torch.onnx.export(
            model,
            (torch.zeros(3, size, size, 3, dtype=torch.uint8),),
            path,
            input_names=["images"],
            output_names=["logits"],
            # AUTO: a named dimension froze silently in a second export of the same process.
            dynamic_shapes=({0: torch.export.Dim.AUTO},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    graph = onnx.load(path)
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(graph, path)


def parity(model: TransferModel, spec: dict[str, Any], graph: Path, images: np.ndarray) -> list[dict[str, Any]]:
    """Largest difference of logits between model and graph at each of PARITY_BATCHES, on real pictures."""
    exported = CategoryModel(spec, onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]))
    report = []
    for batch in PARITY_BATCHES:
        some = images[np.arange(batch) % len(images)]
        with torch.inference_mode():
            expected = model(torch.from_numpy(some)).numpy()
        report.append({"batch": batch, "logits": float(np.abs(exported.logits(some, batch) - expected).max())})
    return report

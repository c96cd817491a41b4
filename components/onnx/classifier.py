"""A classifier of pictures as float and int8 graphs that are checked against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import nn

from components.bundle import BundleSpec
from components.files import write_json
from components.onnx.export import export_graph
from components.onnx.parity import check_parity, compare
from components.onnx.quantisation import write_int8
from components.training.finite import check_finite


class ExportParams(Protocol):
    """What the export of a classifier reads of a lab's `export` section."""

    @property
    def variants(self) -> Sequence[str]: ...
    @property
    def parity_tolerance(self) -> float: ...
    @property
    def calibration(self) -> int: ...


def export_classifier(
    model: nn.Module,
    images: np.ndarray,
    out: Path,
    params: ExportParams,
    spec: Mapping[str, Any],
    parity_batches: Sequence[int],
    calibration_batch: int,
    outputs: Sequence[str] = ("logits",),
    float_convolutions: Sequence[int] = (),
) -> BundleSpec:
    """Writes <variant>.onnx of each variant and parity.json into `out`.

    model: images (B, ...) uint8 to logits (B, classes), and to what `outputs` names besides. images: training images,
    for calibration and comparison. float_convolutions: places of convolutions that int8 leaves floats.
    Raises UserError when a weight is NaN or infinite, or the float graph differs from the model by more than
    `params.parity_tolerance`.
    """
    check_finite(model)
    model = model.cpu().float().eval()
    images = images[np.linspace(0, len(images) - 1, min(params.calibration, len(images))).astype(int)]
    cases = [{"images": images[np.arange(batch) % len(images)]} for batch in parity_batches]
    whole = out / "float.onnx"
    export_graph(model, {"images": np.zeros_like(images, shape=(3, *images.shape[1:]))}, outputs, whole)
    report = {"float": compare(whole, model, cases)}
    check_parity(report, params.parity_tolerance)
    if "int8" in params.variants:
        parts = np.array_split(images, max(1, len(images) // calibration_batch))
        inputs = ({"images": part} for part in parts)
        left_out = {"Conv": float_convolutions}
        write_int8(whole, out / "int8.onnx", inputs, ["Conv", "Gemm", "MatMul"], left_out)
        report["int8"] = compare(out / "int8.onnx", model, cases)
    if "float" not in params.variants:
        whole.unlink()
    write_json(out / "parity.json", report)
    graphs = {variant: out / f"{variant}.onnx" for variant in params.variants}
    return BundleSpec(graphs=graphs, spec={**spec, "variants": list(params.variants)})

"""8-bit graphs with fixed ranges, made from float ones; torch-free."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class _Inputs(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, inputs: Iterable[dict[str, np.ndarray]]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)


def write_int8(
    source: Path,
    target: Path,
    inputs: Iterable[dict[str, np.ndarray]],
    operators: Sequence[str],
    left_out: Sequence[str] = (),
) -> None:
    """Writes the float graph `source` with 8-bit `operators` to `target`, their ranges fixed by running `inputs`.

    Weights have a scale for each output channel. Fixed ranges make an item's result independent of its neighbours.
    left_out: operators (such as "Conv") whose last node stays a float.
    """
    import onnx

    folded = target.with_suffix(".folded.onnx")
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # onnxruntime advises on the root logger to do what is done here
    try:
        quant_pre_process(source, folded, skip_symbolic_shape=True)
        nodes = onnx.load(folded).graph.node
        last = [[node.name for node in nodes if node.op_type == operator][-1] for operator in left_out]
        quantize_static(
            folded,
            target,
            _Inputs(inputs),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=list(operators),
            nodes_to_exclude=last,
            calibrate_method=CalibrationMethod.MinMax,
        )
    finally:
        root.setLevel(level)
        folded.unlink(missing_ok=True)

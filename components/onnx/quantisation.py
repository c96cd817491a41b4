"""8-bit graphs with fixed ranges, made from float ones; what they cost, and which variant is served. Torch-free."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from components.errors import UserError

Variants = Mapping[str, Mapping[str, float]]
"""Metrics of each variant, "float", "int8" or both, by name."""


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
    left_out: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> None:
    """Writes the float graph `source` with 8-bit `operators` to `target`, their ranges fixed by running `inputs`.

    Weights have a scale for each output channel. Fixed ranges make an item's result independent of its neighbours.
    left_out: places of nodes that stay floats, by operator: {"Conv": [0, -1]} are the first and the last convolution.
    Raises UserError where there is no such node.
    """
    import onnx

    folded = target.with_suffix(".folded.onnx")
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # onnxruntime advises on the root logger to do what is done here
    try:
        quant_pre_process(source, folded, skip_symbolic_shape=True)
        nodes = onnx.load(folded).graph.node
        names = {operator: [node.name for node in nodes if node.op_type == operator] for operator in left_out}
        floats = [_at(names[operator], place, operator) for operator, places in left_out.items() for place in places]
        quantize_static(
            folded,
            target,
            _Inputs(inputs),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=list(operators),
            nodes_to_exclude=floats,
            calibrate_method=CalibrationMethod.MinMax,
        )
    finally:
        root.setLevel(level)
        folded.unlink(missing_ok=True)


def _at(names: Sequence[str], place: int, operator: str) -> str:
    if not -len(names) <= place < len(names):
        raise UserError(f"int8 cannot leave {operator} number {place} a float: the graph has {len(names)} of them")
    return names[place]


def quantisation_cost(variants: Variants, metric: str, lower_is_better: bool = False) -> float:
    """What int8 loses of a metric against float, in the metric's unit; 0 where there is one variant only."""
    if not {"float", "int8"} <= variants.keys():
        return 0.0
    lost = variants["float"][metric] - variants["int8"][metric]
    return -lost if lower_is_better else lost


def choose_variant(variants: Variants, cost: float, max_cost: float) -> str:
    """The variant to serve: int8, the smaller and faster one, if it was exported and its `cost` is allowed."""
    return "int8" if "float" not in variants or ("int8" in variants and cost <= max_cost) else "float"

"""Writes ONNX graphs node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Value = tuple[str, int, list[Any]]
"""Name, element type and shape of an input or output."""

OPSET = 21
IR_VERSION = 10
CONTRIB = "com.microsoft"
"""Domain of the operators that every onnxruntime carries beside the standard ones."""


class Nodes:
    """Nodes and constants of one graph or subgraph; `prefix` keeps a subgraph's names apart from those outside."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, outputs: Sequence[str] = (), domain: str = "", **attributes: Any) -> str:
        """Appends a node and returns the name of its first output; `outputs` names them where there are more."""
        names = list(outputs) or [f"{self.prefix}{operator.lower()}_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(operator, list(inputs), names, domain=domain, **attributes))
        return names[0]

    def constant(self, value: np.ndarray) -> str:
        name = f"{self.prefix}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def graph(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> onnx.GraphProto:
        values = [[helper.make_tensor_value_info(*value) for value in side] for side in (inputs, outputs)]
        return helper.make_graph(self.nodes, f"{self.prefix}graph", values[0], values[1], self.constants)

    def model(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> onnx.ModelProto:
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        model = helper.make_model(self.graph(inputs, outputs), opset_imports=opsets, ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model

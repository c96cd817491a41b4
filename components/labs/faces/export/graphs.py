"""Changes to ONNX graphs of the face models: int8 with fixed ranges, and the graph for crops of one size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from components.onnx.quantisation import write_int8

CALIBRATION_BATCH = 64


def quantised(source: Path, target: Path, images: np.ndarray) -> Path:
    """Writes the graph with 8-bit convolutions, their ranges fixed by images (N, H, W, 3) uint8, to `target`.

    Weights have a scale for each output channel. Fixed ranges make a picture's logit independent of its neighbours.
    """
    batches = np.array_split(images, -(-len(images) // CALIBRATION_BATCH))
    inputs = ({"images": np.ascontiguousarray(batch)} for batch in batches)
    # The last convolution makes the logit: 8 bits would leave few values for a threshold, and save nothing.
    write_int8(source, target, inputs, ["Conv", "Relu"], left_out={"Conv": [-1]})
    model = onnx.load(target)
    _read_bytes(model)
    onnx.checker.check_model(model)
    onnx.save(model, target)
    return target


def _read_bytes(model: onnx.ModelProto) -> None:
    """Takes the image's bytes as the 8-bit values they are, instead of byte -> float -> / 255 -> 8-bit."""
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    divide = next(node for node in graph.node if node.op_type == "Div")
    quantize = next(node for node in graph.node if node.input[0] == divide.output[0])
    cast = makers[divide.input[0]]
    graph.initializer.append(numpy_helper.from_array(np.array(1 / 255, dtype=np.float32), "byte_scale"))
    graph.initializer.append(numpy_helper.from_array(np.array(0, dtype=np.uint8), "byte_zero"))
    for node in graph.node:
        if quantize.output[0] in node.input:
            node.input[:] = [cast.input[0], "byte_scale", "byte_zero"]
    for node in (cast, divide, quantize):
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    kept = [value for value in graph.initializer if value.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]


def crop_graph(source: Path, target: Path, size: int) -> Path:
    """Writes the dense graph for images (B, size, size, 3) only: its map is one logit, and the output is (B,)."""
    model = onnx.load(source)
    graph = model.graph
    for position, value in ((1, size), (2, size)):
        dimension = graph.input[0].type.tensor_type.shape.dim[position]
        dimension.Clear()
        dimension.dim_value = value
    del graph.value_info[:]  # shapes of the map's graph
    old = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["map" if name == old else name for name in node.output]
    graph.initializer.append(numpy_helper.from_array(np.array([-1], dtype=np.int64), "one_axis"))
    graph.node.append(helper.make_node("Reshape", ["map", "one_axis"], [old], name="to_vector"))
    batch = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(old, onnx.TensorProto.FLOAT, [batch]))
    onnx.checker.check_model(model)
    onnx.save(model, target)
    return target

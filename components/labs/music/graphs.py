"""The ONNX graphs of a character LSTM, built node by node: one time step, looped by a Scan to read or to sample.

By hand, because for a single tune a step is about thirty tiny operators: what an exporter adds (masks, transposes,
a separate embedding) costs as much as a layer. No torch here.

Every row of a batch is one tune. The state is `hidden` and `cell`, both (rows, layers * H), so that a tune joins or
leaves a batch by one row of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Variant = Literal["float", "int8"]
Value = tuple[str, int, list[Any]]
"""Name, element type and shape of an input or output."""

OPSET = 21
IR_VERSION = 10
CONTRIB = "com.microsoft"
"""Domain of the operators that every onnxruntime carries beside the standard ones."""

HIDDEN_SCALE = 1 / 127
"""|h| = |sigmoid * tanh| < 1, so the hidden state's int8 scale is known beforehand: no calibration, and a tune's
numbers never depend on the others in its batch, as they would with a scale taken from the data."""

HIDDEN_ZERO = 128
"""The int8 hidden state is stored as uint8 around 128: onnxruntime has dot-product kernels for uint8 x int8, while
int8 x int8 falls back to plain code (measured 50 times slower)."""


@dataclass(frozen=True)
class Weights:
    """A stacked LSTM over V characters, in float32; gates are ordered input, forget, output, candidate.

    table: (V, 4H), what each character adds to the first layer's gates: embedding, input product and biases in one
    row, so that looking it up replaces a matrix product.
    products: (H, 4H) of the first layer; (2H, 4H) of those above, the rows of the layer below first.
    biases: (4H,) of each layer above the first.
    decoder: (H, V), any projection multiplied in; decoder_bias: (V,).
    """

    table: np.ndarray
    products: Sequence[np.ndarray]
    biases: Sequence[np.ndarray]
    decoder: np.ndarray
    decoder_bias: np.ndarray

    @property
    def layers(self) -> int:
        return len(self.products)

    @property
    def hidden_size(self) -> int:
        return int(self.decoder.shape[0])

    @property
    def characters(self) -> int:
        return int(self.decoder.shape[1])


def reading_graph(weights: Weights, variant: Variant) -> onnx.ModelProto:
    """ids (B, T) int64, hidden, cell -> log_probs (B, T, V) of each next character, hidden_after, cell_after.

    It steps exactly as the sampler does: reading a tune and sampling it leave the same state, to the bit in int8.
    """
    step = _Nodes("step_")
    logits = _advance(step, weights, variant, "step_id")
    body = step.graph(
        [*_layer_states("", weights, variant), ("step_id", TensorProto.INT64, ["B"])],
        [*_layer_states("_next", weights, variant), (logits, TensorProto.FLOAT, ["B", weights.characters])],
    )
    main = _Nodes("")
    _scan(main, body, weights, states=[], sequence="ids", output="logits")
    main.add("LogSoftmax", "logits", outputs=["log_probs"], axis=-1)
    return main.model(
        [("ids", TensorProto.INT64, ["B", "T"]), *_states("", weights, variant)],
        [("log_probs", TensorProto.FLOAT, ["B", "T", weights.characters]), *_states("_after", weights, variant)],
    )


def sampling_graph(weights: Weights, variant: Variant) -> onnx.ModelProto:
    """last (B,), uniforms (B, K) in [0, 1), temperature, top_k, top_p (B,), hidden, cell -> ids (B, K), state after.

    Each row by itself: softmax(logits / temperature); top_k keeps the k likeliest characters (V: all); top_p then
    keeps, of these, the fewest likeliest that hold this share of them, the one that crosses it included (1: all).
    Characters exactly as likely as the last one kept stay too. The uniform picks from what is left by the inverse
    cumulative distribution in the vocabulary's order. K is whatever `uniforms` has, and may change at every call.
    """
    main, step = _Nodes(""), _Nodes("step_")
    settings = _Settings.of(main, weights.characters)
    logits = _advance(step, weights, variant, "step_last")
    chosen = _choose(step, settings, logits, "step_uniform", weights.characters)
    body = step.graph(
        [
            *_layer_states("", weights, variant),
            ("step_last", TensorProto.INT64, ["B"]),
            ("step_uniform", TensorProto.FLOAT, ["B", 1]),
        ],
        [
            *_layer_states("_next", weights, variant),
            (chosen, TensorProto.INT64, ["B"]),
            (step.add("Identity", chosen), TensorProto.INT64, ["B"]),
        ],
    )
    columns = main.add("Unsqueeze", "uniforms", main.constant(np.array([2])))
    _scan(main, body, weights, states=["last"], sequence=columns, output="ids")
    return main.model(
        [
            ("last", TensorProto.INT64, ["B"]),
            ("uniforms", TensorProto.FLOAT, ["B", "K"]),
            ("temperature", TensorProto.FLOAT, ["B"]),
            ("top_k", TensorProto.INT64, ["B"]),
            ("top_p", TensorProto.FLOAT, ["B"]),
            *_states("", weights, variant),
        ],
        [("ids", TensorProto.INT64, ["B", "K"]), *_states("_after", weights, variant)],
    )


class _Nodes:
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


def _state_type(variant: Variant) -> int:
    return int(TensorProto.UINT8 if variant == "int8" else TensorProto.FLOAT)


def _states(suffix: str, weights: Weights, variant: Variant) -> list[Value]:
    """hidden and cell of all layers, as the caller sees them."""
    shape = ["B", weights.layers * weights.hidden_size]
    return [(f"hidden{suffix}", _state_type(variant), shape), (f"cell{suffix}", TensorProto.FLOAT, shape)]


def _layer_states(suffix: str, weights: Weights, variant: Variant) -> list[Value]:
    """hidden and cell of each layer, as the step sees them."""
    shape, layers = ["B", weights.hidden_size], range(weights.layers)
    hidden: list[Value] = [(f"hidden_{layer}{suffix}", _state_type(variant), shape) for layer in layers]
    return hidden + [(f"cell_{layer}{suffix}", TensorProto.FLOAT, shape) for layer in layers]


def _scan(main: _Nodes, body: onnx.GraphProto, weights: Weights, states: list[str], sequence: str, output: str) -> None:
    """Runs the step along axis 1 of `sequence`, with the state taken apart before and put together after."""
    layers = range(weights.layers)
    for name in ("hidden", "cell"):
        main.add("Split", name, outputs=[f"{name}_{layer}_in" for layer in layers], axis=1, num_outputs=weights.layers)
    parts = [f"{name}_{layer}" for name in ("hidden", "cell") for layer in layers] + states
    main.add(
        "Scan",
        *[f"{part}_in" if part not in states else part for part in parts],
        sequence,
        outputs=[*(f"{part}_out" for part in parts), output],
        body=body,
        num_scan_inputs=1,
        scan_input_axes=[1],
        scan_output_axes=[1],
    )
    for name in ("hidden", "cell"):
        main.add("Concat", *(f"{name}_{layer}_out" for layer in layers), outputs=[f"{name}_after"], axis=1)


def _advance(step: _Nodes, weights: Weights, variant: Variant, character: str) -> str:
    """One character through all layers: writes hidden_*_next and cell_*_next, returns the logits (B, V)."""
    row = step.add("Gather", step.constant(weights.table), character)
    hidden = _cell(step, _product(step, "hidden_0", weights.products[0], row, variant), 0, weights.hidden_size, variant)
    for layer in range(1, weights.layers):
        both = step.add("Concat", hidden, f"hidden_{layer}", axis=1)
        gates = _product(step, both, weights.products[layer], weights.biases[layer - 1], variant)
        hidden = _cell(step, gates, layer, weights.hidden_size, variant)
    return _product(step, hidden, weights.decoder, weights.decoder_bias, variant)


def _product(step: _Nodes, hidden: str, product: np.ndarray, addend: np.ndarray | str, variant: Variant) -> str:
    """hidden @ product + addend, one for all rows or the name of a value with one for each.

    In int8 it sums integers, which is exact in any order: the same in every batch.
    """
    if variant == "float":
        return step.add("Gemm", hidden, step.constant(product), _named(step, addend))
    scale = np.abs(product).max(axis=0) / 127  # one for each output
    scale[scale == 0] = 1
    inputs = [
        hidden,
        step.constant(np.rint(product / scale).astype(np.int8)),
        step.constant(np.array(HIDDEN_SCALE, np.float32)),
        step.constant(scale.astype(np.float32)),
        step.constant(np.array(HIDDEN_ZERO, np.uint8)),
        step.constant(np.array(0, np.int8)),  # written out, or the session option for CPUs without VNNI has no effect
    ]
    if isinstance(addend, str):
        return step.add("Add", step.add("MatMulIntegerToFloat", *inputs, domain=CONTRIB), addend)
    return step.add("MatMulIntegerToFloat", *inputs, step.constant(addend), domain=CONTRIB)


def _named(step: _Nodes, value: np.ndarray | str) -> str:
    return value if isinstance(value, str) else step.constant(value)


def _cell(step: _Nodes, gates: str, layer: int, size: int, variant: Variant) -> str:
    """c' = f * c + i * g, h' = o * tanh(c'), with i, f, o = sigmoid and g = tanh of their quarter of the gates."""
    name = f"layer_{layer}_"
    splits = [step.constant(np.array([3 * size, size])), step.constant(np.array([size, size, size]))]
    step.add("Split", gates, splits[0], outputs=[f"{name}open", f"{name}candidate"], axis=1)
    opened = step.add("Sigmoid", f"{name}open")
    step.add("Split", opened, splits[1], outputs=[f"{name}input", f"{name}forget", f"{name}output"], axis=1)
    kept = step.add("Mul", f"{name}forget", f"cell_{layer}")
    new = step.add("Mul", f"{name}input", step.add("Tanh", f"{name}candidate"))
    cell = step.add("Add", kept, new, outputs=[f"cell_{layer}_next"])
    if variant == "float":
        return step.add("Mul", f"{name}output", step.add("Tanh", cell), outputs=[f"hidden_{layer}_next"])
    hidden = step.add("Mul", f"{name}output", step.add("Tanh", cell))
    scale, zero = step.constant(np.array(HIDDEN_SCALE, np.float32)), step.constant(np.array(HIDDEN_ZERO, np.uint8))
    return step.add("QuantizeLinear", hidden, scale, zero, outputs=[f"hidden_{layer}_next"])


@dataclass(frozen=True)
class _Settings:
    """The sampler's settings as the step uses them, worked out once a call: three (B, 1) values and one flag."""

    temperature: str
    top_k: str
    top_p: str
    limited: str

    @classmethod
    def of(cls, main: _Nodes, characters: int) -> _Settings:
        axis, one = main.constant(np.array([1])), main.constant(np.array(1, np.float32))
        k_limits = main.add("Less", "top_k", main.constant(np.array(characters)))
        p_limits = main.add("Less", "top_p", one)
        limits = main.add("Cast", main.add("Or", k_limits, p_limits), to=TensorProto.INT32)
        # Rounding may sum a share to a little more than 1: without a limit every character stays, whatever the sum.
        share = main.add("Where", p_limits, "top_p", main.constant(np.array(2, np.float32)))
        return cls(
            temperature=main.add("Unsqueeze", "temperature", axis),
            top_k=main.add("Unsqueeze", "top_k", axis),
            top_p=main.add("Unsqueeze", share, axis),
            limited=main.add("Cast", main.add("ReduceMax", limits, keepdims=0), to=TensorProto.BOOL),
        )


def _choose(step: _Nodes, settings: _Settings, logits: str, uniform: str, characters: int) -> str:
    """The character (B,) that `uniform` (B, 1) picks from softmax(logits / temperature) within the limits."""
    shares = step.add("Softmax", step.add("Div", logits, settings.temperature), axis=-1)
    shares = _limit(step, settings, shares, characters)
    cumulative = step.add("CumSum", shares, step.constant(np.array(1)))
    # By the actual total, which rounding and limits leave a little or a lot below 1: u < 1 then always finds one.
    total = step.add("Gather", cumulative, step.constant(np.array([characters - 1])), axis=1)
    above = step.add("Greater", cumulative, step.add("Mul", uniform, total))
    return step.add("ArgMax", step.add("Cast", above, to=TensorProto.UINT8), axis=1, keepdims=0)


def _limit(step: _Nodes, settings: _Settings, shares: str, characters: int) -> str:
    """Zero for what top_k and top_p exclude. Skipped when no row has a limit: sorting costs as much as the rest.

    A row without a limit passes either way unchanged to the bit, so it does not matter who else is in the batch.
    """
    free, limited = _Nodes("free_"), _Nodes("limited_")
    value: Value = ("", TensorProto.FLOAT, ["B", characters])
    free_output = free.add("Identity", shares)

    zero = limited.constant(np.array(0, np.float32))
    limited.add("TopK", shares, limited.constant(np.array([characters])), outputs=["sorted", "sorted_ids"], axis=1)
    in_k = limited.add("Less", limited.constant(np.arange(characters)[None]), settings.top_k)
    first_k = limited.add("Where", in_k, "sorted", zero)
    before = limited.add("CumSum", first_k, limited.constant(np.array(1)), exclusive=1)
    total = limited.add("ReduceSum", first_k, limited.constant(np.array([1])))
    in_p = limited.add("Less", before, limited.add("Mul", total, settings.top_p))
    kept = limited.add("Where", limited.add("And", in_k, in_p), "sorted", limited.constant(np.array(1, np.float32)))
    least = limited.add("ReduceMin", kept, limited.constant(np.array([1])))
    limited_output = limited.add("Where", limited.add("GreaterOrEqual", shares, least), shares, zero)
    return step.add(
        "If",
        settings.limited,
        then_branch=limited.graph([], [(limited_output, *value[1:])]),
        else_branch=free.graph([], [(free_output, *value[1:])]),
    )

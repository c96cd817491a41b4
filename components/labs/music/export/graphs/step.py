"""One character through the model, as nodes: the LSTM's layers, then the attention."""

from __future__ import annotations

import numpy as np

from components.labs.music.export.graphs.memory import Memory
from components.labs.music.export.graphs.nodes import CONTRIB, Nodes
from components.labs.music.export.graphs.weights import HIDDEN_SCALE, Variant, Weights
from components.labs.music.runtime.model import INT8_ZERO


def advance(step: Nodes, weights: Weights, variant: Variant, memory: Memory, character: str) -> tuple[str, str]:
    """Writes hidden_*_next and cell_*_next; returns the logits (B, V) of what follows `character`, and its key."""
    row = step.add("Gather", step.constant(weights.table), character)
    hidden = _cell(step, _of_hidden(step, "hidden_0", weights.products[0], row, variant), 0, weights, variant)
    for layer in range(1, weights.layers):
        both = step.add("Concat", hidden, f"hidden_{layer}", axis=1)
        gates = _of_hidden(step, both, weights.products[layer], weights.biases[layer - 1], variant)
        hidden = _cell(step, gates, layer, weights, variant)
    return _attend(step, weights, variant, memory, hidden)


def _cell(step: Nodes, gates: str, layer: int, weights: Weights, variant: Variant) -> str:
    """c' = f * c + i * g, h' = o * tanh(c'), with i, f, o = sigmoid and g = tanh of their quarter of the gates."""
    name, size = f"layer_{layer}_", weights.hidden_size
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
    return _quantise(step, hidden, HIDDEN_SCALE, f"hidden_{layer}_next")


def _attend(step: Nodes, weights: Weights, variant: Variant, memory: Memory, hidden: str) -> tuple[str, str]:
    """The logits, with what the attention adds to them, and the key that later characters will look for.

    Decoder, queries and key are one product. What is brought back is a mean of rows of `value` and of nothing, so no
    number of it is larger than the largest there: its int8 scale is known beforehand, as the hidden state's is.
    """
    heads, size = weights.heads, weights.key_size
    widths = [weights.characters, heads * size, size]
    together = np.concatenate([weights.decoder, weights.query, weights.key], axis=1)
    bias = np.concatenate([weights.decoder_bias, np.zeros((heads + 1) * size, np.float32)])
    products = _of_hidden(step, hidden, together, bias, variant)
    step.add("Split", products, step.constant(np.array(widths)), outputs=["own_logits", "query_flat", "key"], axis=1)
    query = step.add("Reshape", "query_flat", step.constant(np.array([0, heads, size])))
    scores = step.add("Add", step.add("MatMul", query, memory.keys), "step_mask")
    found = step.add("MatMul", step.add("Softmax", scores, axis=-1), memory.values)
    flat = step.add("Reshape", found, step.constant(np.array([0, heads * size])))
    scale = float(np.abs(weights.value).max()) / 127 or 1.0
    if variant == "int8":
        flat = _quantise(step, flat, scale)
    return _product(step, flat, weights.output, "own_logits", variant, scale), "key"


def _of_hidden(step: Nodes, hidden: str, product: np.ndarray, addend: np.ndarray | str, variant: Variant) -> str:
    return _product(step, hidden, product, addend, variant, HIDDEN_SCALE)


def _product(
    step: Nodes, values: str, product: np.ndarray, addend: np.ndarray | str, variant: Variant, values_scale: float
) -> str:
    """values @ product + addend, one for all rows or the name of a value with one for each.

    In int8 it sums integers, which is exact in any order: the same in every batch.
    """
    if variant == "float":
        return step.add("Gemm", values, step.constant(product), _named(step, addend))
    scale = np.abs(product).max(axis=0) / 127  # one for each output
    scale[scale == 0] = 1
    inputs = [
        values,
        step.constant(np.rint(product / scale).astype(np.int8)),
        step.constant(np.array(values_scale, np.float32)),
        step.constant(scale.astype(np.float32)),
        step.constant(np.array(INT8_ZERO, np.uint8)),
        step.constant(np.array(0, np.int8)),  # written out, or the session option for CPUs without VNNI has no effect
    ]
    if isinstance(addend, str):
        return step.add("Add", step.add("MatMulIntegerToFloat", *inputs, domain=CONTRIB), addend)
    return step.add("MatMulIntegerToFloat", *inputs, step.constant(addend), domain=CONTRIB)


def _quantise(step: Nodes, values: str, scale: float, output: str = "") -> str:
    """As uint8 around INT8_ZERO: onnxruntime has dot-product kernels for uint8 x int8, while int8 x int8 falls back to
    plain code (measured 50 times slower)."""
    parts = [step.constant(np.array(scale, np.float32)), step.constant(np.array(INT8_ZERO, np.uint8))]
    return step.add("QuantizeLinear", values, *parts, outputs=[output] if output else [])


def _named(step: Nodes, value: np.ndarray | str) -> str:
    return value if isinstance(value, str) else step.constant(value)

"""The ONNX graphs of the music model, built node by node: one time step, looped by a Scan to read or to sample.

By hand, because for a single tune a step is about forty tiny operators: what an exporter adds (masks, transposes,
a separate embedding) costs as much as a layer. No torch here.

Every row of a batch is one tune. The state is `hidden` and `cell`, both (rows, layers * H), and what the attention
remembers, so that a tune joins or leaves a batch by one row of each.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from components.labs.music.export.graphs.choice import Settings, choose
from components.labs.music.export.graphs.given_text import GivenText
from components.labs.music.export.graphs.memory import Memory, memory_states
from components.labs.music.export.graphs.nodes import Nodes, Value
from components.labs.music.export.graphs.step import advance
from components.labs.music.export.graphs.weights import Variant, Weights


def reading_graph(weights: Weights, variant: Variant) -> onnx.ModelProto:
    """ids (B, T) int64, state -> log_probs (B, T, V) of each next character, state after. T from 1 to the lag.

    It steps exactly as the sampler does: reading a tune and sampling it leave the same state, to the bit in int8.
    """
    main, step = Nodes(""), Nodes("step_")
    memory = Memory.before(main, weights, "ids", steps="ids")
    logits, key = advance(step, weights, variant, memory, "step_id")
    body = step.graph(
        [*_layer_states("", weights, variant), *_step_inputs(weights, ("step_id", TensorProto.INT64, ["B"]))],
        [
            *_layer_states("_next", weights, variant),
            (key, TensorProto.FLOAT, ["B", weights.key_size]),
            (logits, TensorProto.FLOAT, ["B", weights.characters]),
        ],
    )
    _scan(main, body, weights, memory, states=[], sequence="ids", output="logits")
    Memory.after(main, weights, "ids", "new_keys")
    main.add("LogSoftmax", "logits", outputs=["log_probs"], axis=-1)
    return main.model(
        [("ids", TensorProto.INT64, ["B", "T"]), *_states("", weights, variant)],
        [("log_probs", TensorProto.FLOAT, ["B", "T", weights.characters]), *_states("_after", weights, variant)],
    )


def sampling_graph(weights: Weights, variant: Variant) -> onnx.ModelProto:
    """last (B,), uniforms (B, K) in [0, 1), temperature, top_k, top_p (B,), given (B, N), openers (V,), state -> ids
    (B, K), state after each step.

    hidden_steps and cell_steps (K, B, layers * H) are the layers' state after each character that was read, and
    new_keys (B, size, K) are the keys of these characters: a tune goes on from any of them without being read again.

    Each row by itself: softmax(logits / temperature); top_k keeps the k likeliest characters (V: all); top_p then
    keeps, of these, the fewest likeliest that hold this share of them, the one that crosses it included (1: all).
    Characters exactly as likely as the last one kept stay too. The uniform picks from what is left by the inverse
    cumulative distribution in the vocabulary's order. K is whatever `uniforms` has, from 1 to the lag, and may change
    at every call. What `given` and `openers` do is said in GivenText.
    """
    main, step = Nodes(""), Nodes("step_")
    settings, given = Settings.of(main, weights.characters), GivenText.of(main, weights.characters)
    first = main.add("Unsqueeze", "last", main.constant(np.array([1])))
    # Only the first character of the call can be seen, and it is known: what follows it is younger than the lag.
    memory = Memory.before(main, weights, first, steps="uniforms")
    logits, key = advance(step, weights, variant, memory, "step_last")
    chosen = given.replace(step, choose(step, settings, logits, "step_uniform", weights.characters))
    body = step.graph(
        [
            *_layer_states("", weights, variant),
            ("step_last", TensorProto.INT64, ["B"]),
            *given.states("step_"),
            *_step_inputs(weights, ("step_uniform", TensorProto.FLOAT, ["B", 1])),
        ],
        [
            *_layer_states("_next", weights, variant),
            (chosen, TensorProto.INT64, ["B"]),
            *given.states("next_"),
            (key, TensorProto.FLOAT, ["B", weights.key_size]),
            (step.add("Identity", chosen), TensorProto.INT64, ["B"]),
            *_all_layers(step, weights, variant),
        ],
    )
    columns = main.add("Unsqueeze", "uniforms", main.constant(np.array([2])))
    states = ["last", *given.before_first_step(main, first)]
    _scan(main, body, weights, memory, states, sequence=columns, output="ids", each_step=True)
    shape = ["K", "B", weights.layers * weights.hidden_size]
    return main.model(
        [
            ("last", TensorProto.INT64, ["B"]),
            ("uniforms", TensorProto.FLOAT, ["B", "K"]),
            ("temperature", TensorProto.FLOAT, ["B"]),
            ("top_k", TensorProto.INT64, ["B"]),
            ("top_p", TensorProto.FLOAT, ["B"]),
            ("given", TensorProto.INT64, ["B", "N"]),
            ("openers", TensorProto.BOOL, [weights.characters]),
            *_states("", weights, variant),
        ],
        [
            ("ids", TensorProto.INT64, ["B", "K"]),
            ("hidden_steps", _state_type(variant), shape),
            ("cell_steps", TensorProto.FLOAT, shape),
            ("new_keys", TensorProto.FLOAT, ["B", weights.key_size, "K"]),
        ],
    )


def _state_type(variant: Variant) -> int:
    return int(TensorProto.UINT8 if variant == "int8" else TensorProto.FLOAT)


def _states(suffix: str, weights: Weights, variant: Variant) -> list[Value]:
    """hidden and cell of all layers, and the attention's memory, as the caller sees them."""
    shape = ["B", weights.layers * weights.hidden_size]
    return [
        (f"hidden{suffix}", _state_type(variant), shape),
        (f"cell{suffix}", TensorProto.FLOAT, shape),
        *memory_states(suffix, weights),
    ]


def _layer_states(suffix: str, weights: Weights, variant: Variant) -> list[Value]:
    """hidden and cell of each layer, as the step sees them."""
    shape, layers = ["B", weights.hidden_size], range(weights.layers)
    hidden: list[Value] = [(f"hidden_{layer}{suffix}", _state_type(variant), shape) for layer in layers]
    return hidden + [(f"cell_{layer}{suffix}", TensorProto.FLOAT, shape) for layer in layers]


def _all_layers(step: Nodes, weights: Weights, variant: Variant) -> list[Value]:
    """hidden and cell of all layers after a step, side by side."""
    shape = ["B", weights.layers * weights.hidden_size]
    return [
        (step.add("Concat", *(f"{name}_{layer}_next" for layer in range(weights.layers)), axis=1), kind, shape)
        for name, kind in (("hidden", _state_type(variant)), ("cell", TensorProto.FLOAT))
    ]


def _step_inputs(weights: Weights, own: Value) -> list[Value]:
    """What a step is given beside the state: its part of the sequence, and its mask of the memory."""
    return [own, ("step_mask", TensorProto.FLOAT, ["B", 1, 1 + weights.memory])]


def _scan(
    main: Nodes,
    body: onnx.GraphProto,
    weights: Weights,
    memory: Memory,
    states: list[str],
    sequence: str,
    output: str,
    each_step: bool = False,
) -> None:
    """Runs the step along axis 1 of `sequence`, with the state taken apart before.

    Writes `output`, new_keys (B, size, steps), and the state put together: hidden_after and cell_after, or where
    each_step hidden_steps and cell_steps.
    """
    layers = range(weights.layers)
    for name in ("hidden", "cell"):
        main.add("Split", name, outputs=[f"{name}_{layer}_in" for layer in layers], axis=1, num_outputs=weights.layers)
    parts = [f"{name}_{layer}" for name in ("hidden", "cell") for layer in layers] + states
    steps = ["hidden_steps", "cell_steps"] if each_step else []
    main.add(
        "Scan",
        *[f"{part}_in" if part not in states else part for part in parts],
        sequence,
        memory.masks,
        outputs=[*(f"{part}_out" for part in parts), "new_keys", output, *steps],
        body=body,
        num_scan_inputs=2,
        scan_input_axes=[1, 0],
        scan_output_axes=[2, 1, *(0 for _ in steps)],
    )
    if each_step:
        return
    for name in ("hidden", "cell"):
        main.add("Concat", *(f"{name}_{layer}_out" for layer in layers), outputs=[f"{name}_after"], axis=1)

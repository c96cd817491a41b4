"""The sampler's choice of a character, as nodes of the step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from components.labs.music.export.graphs.nodes import Nodes, Value


@dataclass(frozen=True)
class Settings:
    """The sampler's settings as the step uses them, worked out once a call: three (B, 1) values and one flag."""

    temperature: str
    top_k: str
    top_p: str
    limited: str

    @classmethod
    def of(cls, main: Nodes, characters: int) -> Settings:
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


def choose(step: Nodes, settings: Settings, logits: str, uniform: str, characters: int) -> str:
    """The character (B,) that `uniform` (B, 1) picks from softmax(logits / temperature) within the limits."""
    shares = step.add("Softmax", step.add("Div", logits, settings.temperature), axis=-1)
    shares = _limit(step, settings, shares, characters)
    cumulative = step.add("CumSum", shares, step.constant(np.array(1)))
    # By the actual total, which rounding and limits leave a little or a lot below 1: u < 1 then always finds one.
    total = step.add("Gather", cumulative, step.constant(np.array([characters - 1])), axis=1)
    above = step.add("Greater", cumulative, step.add("Mul", uniform, total))
    return step.add("ArgMax", step.add("Cast", above, to=TensorProto.UINT8), axis=1, keepdims=0)


def _limit(step: Nodes, settings: Settings, shares: str, characters: int) -> str:
    """Zero for what top_k and top_p exclude. Skipped when no row has a limit: sorting costs as much as the rest.

    A row without a limit passes either way unchanged to the bit, so it does not matter who else is in the batch.
    """
    free, limited = Nodes("free_"), Nodes("limited_")
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

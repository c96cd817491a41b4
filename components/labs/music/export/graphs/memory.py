"""The attention's memory, as nodes outside the step: within one call of up to `lag` characters it does not change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from components.labs.music.export.graphs.nodes import Nodes, Value
from components.labs.music.export.graphs.weights import Weights

EVERYTHING = 2**31
"""An end of a slice beyond any length."""


@dataclass(frozen=True)
class Memory:
    """Names of values. The first of `1 + memory` entries is empty: a score of 0 and a value of zeros."""

    keys: str
    """(B, size, 1 + memory)."""
    values: str
    """(B, 1 + memory, size), of the characters that followed."""
    masks: str
    """(steps, B, 1, 1 + memory): 0 for what a step may see, -inf for the rest."""

    @classmethod
    def before(cls, main: Nodes, weights: Weights, read: str, steps: str) -> Memory:
        """At the start of a call. read: (B, 1 or more), the characters it reads; steps: (B, steps), any values."""
        nobody = main.constant(np.array(weights.characters))  # the empty entry's id, and that before the tune
        values = np.concatenate([weights.value, np.zeros((1, weights.key_size), np.float32)])
        following = main.add("Concat", _part(main, "past", 1, EVERYTHING), _part(main, read, 0, 1), axis=1)
        known = main.add("Less", "past", nobody)
        one_more = main.constant(np.array([0, 1, 0, 0]))
        return cls(
            keys=main.add("Pad", "keys", main.constant(np.array([0, 0, 1, 0, 0, 0]))),
            values=main.add("Gather", main.constant(values), main.add("Pad", following, one_more, nobody)),
            masks=_masks(main, weights, main.add("Pad", known, one_more, main.constant(np.array(True))), steps),
        )

    @staticmethod
    def after(main: Nodes, weights: Weights, read: str, new_keys: str) -> None:
        """Writes keys_after and past_after: the newest, those of the call included. new_keys: (B, size, steps)."""
        for name, new, axis in (("keys", new_keys, 2), ("past", read, 1)):
            both = main.add("Concat", name, new, axis=axis)
            _part(main, both, -weights.memory, EVERYTHING, axis=axis, output=f"{name}_after")


def memory_states(suffix: str, weights: Weights) -> list[Value]:
    """The newest characters of a tune, the last one last: their keys, and their ids, V before its start."""
    return [
        (f"keys{suffix}", TensorProto.FLOAT, ["B", weights.key_size, weights.memory]),
        (f"past{suffix}", TensorProto.INT64, ["B", weights.memory]),
    ]


def _masks(main: Nodes, weights: Weights, known: str, steps: str) -> str:
    """known: (B, 1 + memory), whether there is such a character. More steps than the lag do not fit: an error."""
    step = np.arange(1, weights.lag + 1)[:, None]  # after the newest character remembered
    ago = step + np.arange(weights.memory)[::-1]
    visible = np.concatenate([step > 0, (ago >= weights.lag) & (ago < weights.window)], axis=1)
    count, axes = main.add("Shape", steps, start=1, end=2), main.constant(np.array([0]))
    first = main.add("Slice", main.constant(visible[:, None, None]), main.constant(np.array([0])), count, axes)
    seen = main.add("And", first, main.add("Unsqueeze", known, main.constant(np.array([0, 2]))))
    blocked = main.constant(np.array(-np.inf, np.float32))
    return main.add("Where", seen, main.constant(np.array(0, np.float32)), blocked)


def _part(main: Nodes, values: str, start: int, end: int, axis: int = 1, output: str = "") -> str:
    bounds = [main.constant(np.array([number])) for number in (start, end, axis)]
    return main.add("Slice", values, *bounds, outputs=[output] if output else [])

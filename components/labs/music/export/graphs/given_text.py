"""Text that is given within a call of the sampler, as nodes of the step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from components.labs.music.export.graphs.nodes import Nodes, Value


@dataclass(frozen=True)
class GivenText:
    """`given` (B, N) int64 has pieces of text for each row, each with V behind it, and V from there to its end.
    `openers` (V,) bool are the characters that begin a piece.

    A call begins with the first piece, which may be empty. Then the model chooses, until it chooses an opener: the next
    piece is written from there on, in the place of what it chose. After the last piece it chooses everything.
    """

    characters: int
    some: str
    """Whether any row has any: else all of it is skipped."""
    last: str
    """N - 1."""

    @classmethod
    def of(cls, main: Nodes, characters: int) -> GivenText:
        least = main.add("ReduceMin", "given", keepdims=0)
        length = main.add("Shape", "given", start=1, end=2)
        return cls(
            characters,
            some=main.add("Less", least, main.constant(np.array(characters))),
            last=main.add("Sub", length, main.constant(np.array([1]))),
        )

    def states(self, prefix: str) -> list[Value]:
        """Where the next character of `given` stands, and whether a piece is being written."""
        return [(f"{prefix}place", TensorProto.INT64, ["B", 1]), (f"{prefix}giving", TensorProto.BOOL, ["B", 1])]

    def before_first_step(self, main: Nodes, rows: str) -> list[str]:
        """The states before a call. rows: (B, 1) of any numbers."""
        return [main.add("Sub", rows, rows), main.add("Equal", rows, rows)]

    def replace(self, step: Nodes, chosen: str) -> str:
        """What is written (B,) where it chose `chosen` (B,). Writes the states `next_place` and `next_giving`."""
        some, none = Nodes("some_"), Nodes("none_")
        beyond, axis = some.constant(np.array(self.characters)), some.constant(np.array([1]))
        column = some.add("Unsqueeze", chosen, axis)
        reads = some.add("Or", "step_giving", some.add("Gather", "openers", column))
        following = some.add("GatherElements", "given", "step_place", axis=1)
        giving = some.add("And", reads, some.add("Less", following, beyond))
        written = some.add("Squeeze", some.add("Where", giving, following, column), axis)
        forward = some.add("Add", "step_place", some.add("Cast", reads, to=TensorProto.INT64))
        place = some.add("Min", forward, self.last)

        unchanged = [none.add("Identity", value) for value in (chosen, "step_place", "step_giving")]
        kinds = [("", TensorProto.INT64, ["B"]), *self.states("")]
        branches = [
            nodes.graph([], [(name, *kind[1:]) for name, kind in zip(names, kinds, strict=True)])
            for nodes, names in ((some, [written, place, giving]), (none, unchanged))
        ]
        outputs = ["written", *(name for name, *_ in self.states("next_"))]
        return step.add("If", self.some, outputs=outputs, then_branch=branches[0], else_branch=branches[1])

"""Steps that were played, to be learnt from again; the oldest are forgotten."""

from __future__ import annotations

import torch
from torch import Tensor

from components.families.agents.training.games import Step


class Replay:
    """The last `size` valid steps, on the CPU. Its state is tensors, so that a checkpoint holds it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.seen = 0
        """Steps that were ever added."""
        self._parts: list[Tensor] = []

    def add(self, step: Step) -> None:
        """Those of B games that are valid."""
        step = Step(*(part.cpu() for part in step))
        rows = step.valid.nonzero().squeeze(1)
        if not self._parts:
            self._parts = [torch.zeros(self.size, *part.shape[1:], dtype=part.dtype) for part in step]
        places = (self.seen + torch.arange(len(rows))) % self.size
        for kept, part in zip(self._parts, step, strict=True):
            kept[places] = part[rows]
        self.seen += len(rows)

    def draw(self, count: int, generator: torch.Generator, device: torch.device | None = None) -> Step:
        """`count` steps, evenly and with repetition, on `device`."""
        rows = torch.randint(min(self.seen, self.size), (count,), generator=generator)
        return Step(*(part[rows].to(device or part.device) for part in self._parts))

    def state(self) -> dict[str, Tensor]:
        """The number of steps that were added, and the memory's parts; those are missing while nothing was."""
        return {"seen": torch.tensor(self.seen), **dict(zip(Step._fields, self._parts, strict=False))}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.seen = int(state["seen"])
        self._parts = [state[name].clone() for name in Step._fields if name in state]

"""Places that a tune is written on from again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from components.labs.music.runtime.bars import BarJudge
from components.labs.music.runtime.history import LayerState

AT_ONCE = 256
"""Random numbers that are drawn at once at first; later as many as there are already."""

Layers = Callable[[], LayerState | None]
After = Callable[[int], LayerState | None]


def nothing_read(_: int = 0) -> None:
    """The state of a model that has read nothing, or that no batch runs."""


class Sampling(NamedTuple):
    """As in `TuneRequest`."""

    temperature: float
    top_k: int
    top_p: float


@dataclass
class Checkpoint:
    """A place that a tune is written on from again: after forced text, a line of the header or a good bar."""

    text: str
    line: int
    sampled: int
    judge: BarJudge
    """What holds up to here."""
    at_bar_line: BarJudge
    """The same where the bar line, the last that stands here, may go on."""
    last: int
    unread: np.ndarray
    """Ids after `last` that the model has to read."""
    layers: LayerState | None = None
    """Before `last` is read; None where nothing was read yet, or not all of `unread`."""
    bars: Sequence[str] | None = None
    """Those of the text, as the form counts them; None where nobody has counted them yet."""


class RandomNumbers:
    """A tune's own random numbers: float32 in [0, 1), by their places in one stream."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._drawn = np.empty(0, np.float32)

    def part(self, start: int, count: int) -> np.ndarray:
        """(count,) from this place on."""
        end = start + count
        if end > len(self._drawn):
            more = self._generator.random(max(count, AT_ONCE, len(self._drawn)), dtype=np.float32)
            self._drawn = np.concatenate([self._drawn, more])
        return self._drawn[start:end]

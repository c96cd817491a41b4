"""Places that a tune is written on from again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from components.labs.music.runtime.bars import BarJudge
from components.labs.music.runtime.history import LayerState

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
    """Before `last` is read; None where nothing was read yet."""

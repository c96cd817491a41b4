"""What is asked of the sampler, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from components.datasets.music.form_reader import Form
from components.datasets.music.reader import TUNE_END, TUNE_START
from components.errors import UserError

SEEDS = 2**53
"""How many seeds there are: more than that JavaScript cannot tell apart."""

RANGES = {
    "seed": (0, SEEDS - 1),
    "temperature": (0.01, 100),
    "top_k": (0, 2**31),
    "top_p": (0.001, 1),
    "max_length": (1, 2**31),
    "redraws": (0, 10_000),
}
"""From least to most of what a request may say."""


@dataclass(frozen=True)
class TuneRequest:
    """A tune to write. The same request and bundle give the same tune."""

    seed: int
    temperature: float = 1.0
    top_k: int = 0
    """Only the k likeliest characters are picked from; 0 for no limit."""
    top_p: float = 1.0
    """Only the likeliest characters that together hold this share are picked from; 1 for no limit."""
    max_length: int = 1000
    """Characters of the tune that the model writes, at most. Forced ones do not count, nor those that are drawn again.
    """
    redraws: int = 0
    """How often a bar or a line of the header may be drawn again in the whole tune; 0 takes the tune as it comes."""
    forced: Mapping[int, str] = field(default_factory=dict)
    """Text the tune must have at the start of these lines (from 0); the model writes the rest."""
    read_as: Mapping[int, str] = field(default_factory=dict)
    """What the model reads in place of the forced text of these lines, where it knows another spelling better."""
    form: Form | None = None
    """What the model reads before the tune, as control codes, and what bars must follow where they are drawn again."""

    def __post_init__(self) -> None:
        """Raises UserError naming the field that is out of range (NaN is)."""
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name} is {value}: it must be from {low} to {high}")
        for line, text in self.forced.items():
            if TUNE_END in TUNE_START + text:
                raise UserError(f"the text forced at line {line} holds an empty line, which ends a tune: leave it out")


@dataclass(frozen=True)
class Sample:
    """A tune that was written, valid or not."""

    text: str
    """Without the empty line that ends it."""
    ended: bool
    """The model ended the tune itself, or forced text did; else it was cut off."""
    drawn: int = 0
    """Characters that the model chose for it, those of bars that were drawn again included."""
    redrawn: int = 0
    """How often a bar or a line of the header was drawn again."""
    closed: bool = False
    """Forced text ended it."""


def sample_seed(seed: int, index: int) -> int:
    """The seed of tune `index` of a request: its own for the very first.

    So a tune that was returned is made again by asking for its own seed.
    """
    if index == 0:
        return seed
    high, low = np.random.SeedSequence([seed, index]).generate_state(2)
    return (int(high) << 32 | int(low)) % SEEDS

"""Copies of what a judge of bars holds, which it makes for every bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from components.datasets.music.abc_notation import Bar
from components.datasets.music.abc_parser import Reader

CopiedT = TypeVar("CopiedT")


def shallow_copy(value: CopiedT) -> CopiedT:
    """As copy.copy, which takes four times as long."""
    other = object.__new__(type(value))
    other.__dict__.update(value.__dict__)
    return other


def copied(reader: Reader, bars: Sequence[Bar]) -> Reader:
    """One with these bars that can be thrown away."""
    other = shallow_copy(reader)
    other.notes, other.bars, other.marks, other.faults = [], list(bars), [], []
    other.start_bar()
    return other

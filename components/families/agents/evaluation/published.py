"""Agents that others measured, to compare with."""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """What somebody else reports, and where."""

    agent: str
    mean_return: float
    source: str

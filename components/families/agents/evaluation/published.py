"""Agents of others in the same game, to compare with."""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """A row of the table of returns, and where its figure is from.

    mean_return: over episodes; the lowest and the highest where it is of several trainings; None where none is given.
    """

    agent: str
    mean_return: float | tuple[float, float] | None
    source: str

    @property
    def shown(self) -> str:
        """The figure as the report shows it."""
        if self.mean_return is None:
            return "no figure"
        ends = self.mean_return if isinstance(self.mean_return, tuple) else (self.mean_return,)
        return " to ".join(f"{end:.1f}" for end in ends)

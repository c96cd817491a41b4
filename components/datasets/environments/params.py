"""Parameters of a dataset that is an environment: what is made of its package, and which seeds are for what."""

from __future__ import annotations

import itertools
from typing import Literal, Self

from pydantic import Field, model_validator

from components.config import DatasetParams, Section

Split = Literal["train", "validation", "test"]
Option = bool | int | float | str | tuple[int, ...] | None


class Seeds(Section):
    """A range of seeds, both ends included."""

    first: int = Field(ge=0, lt=2**31)
    last: int = Field(ge=0, lt=2**31)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.last < self.first:
            raise ValueError(f"the last seed, {self.last}, comes before the first, {self.first}")
        return self


class Wrapper(Section):
    """A class of gymnasium.wrappers, and its arguments."""

    name: str
    options: dict[str, Option] = Field(default_factory=dict)


class EnvironmentParams(DatasetParams):
    """`limit` is the most reference episodes for each policy and split; 0 takes `reference_episodes`."""

    environment: str
    """The name under which gymnasium knows it."""
    options: dict[str, Option]
    """Arguments of gymnasium.make."""
    wrappers: tuple[Wrapper, ...]
    """The innermost first."""
    actions: tuple[int, ...]
    """Actions of the environment that an agent may take; empty for all of them."""
    solved_return: float
    """Return of an episode from which it counts as solved."""
    reference_episodes: int = Field(ge=1, le=1000)
    seeds: dict[Split, Seeds]

    @model_validator(mode="after")
    def _ranges_never_overlap(self) -> Self:
        if missing := {"train", "validation", "test"} - self.seeds.keys():
            raise ValueError(f"no seeds for {', '.join(sorted(missing))}")
        ordered = sorted(self.seeds.items(), key=lambda item: item[1].first)
        for (name, lower), (other, upper) in itertools.pairwise(ordered):
            if upper.first <= lower.last:
                raise ValueError(
                    f"seeds of {name} ({lower.first} to {lower.last}) and of {other} ({upper.first} to {upper.last}) "
                    "overlap: an agent would be judged on what it has seen"
                )
        return self

"""The section `search` of a lab's block: which parameters of its section `train` are varied, and how they are drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from components import params as parameters
from components.config import Section, checked_section, overridden
from components.errors import UserError
from components.labs import Lab

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

FIGURES = 3
"""Significant figures of a number that is drawn: more say nothing, and a person reads them in params.yaml."""


class Range(Section):
    """Either two ends, or choices. Of a parameter that is a whole number, whole numbers are drawn, ends included."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    """Drawn evenly in the logarithm."""
    choices: tuple[Any, ...] | None = Field(None, min_length=2)

    @model_validator(mode="after")
    def _ends_or_choices(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("give either choices, or low and high")
            if len(set(map(json.dumps, self.choices))) < len(self.choices):
                raise ValueError("a choice stands there twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give low and high, or choices")
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        if self.log and self.low <= 0:
            raise ValueError(f"low ({self.low:g}) must be above 0 where log is true")
        return self

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value. Raises ValueError where the range is a list of choices."""
        if self.low is None or self.high is None:
            raise ValueError("this range is a list of choices")
        return self.low, self.high


class Search(Section):
    """trials: how many in all, those that were pruned or diverged included."""

    trials: int = Field(ge=1)
    startup_trials: int = Field(ge=1)
    """Trials drawn at random before the sampler (TPE) learns from them; as many must have ended before any is pruned.
    """
    pruner: Literal["median", "none"]
    """median: a trial ends early at an epoch where its best figure is worse than the median trial's of that epoch."""
    warmup_epochs: int = Field(ge=0)
    """Epochs of a trial before it may be pruned."""
    seed: int = Field(ge=0, lt=2**32)
    ranges: dict[str, Range] = Field(min_length=1)
    """By the parameter's name in the section `train`; a dot goes into a section, as in ppo.learning_rate."""


def search_of(lab: Lab, raw: Mapping[str, Any], path: Path) -> Search:
    """The lab's section `search`, out of the blocks of a params.yaml.

    Raises UserError where there is none, or a range names no parameter or holds a value that the parameter cannot take.
    """
    section = (raw.get(lab.name) or {}).get("search")
    place = f"{lab.name}.search"
    if section is None:
        raise UserError(f"{path}: {lab.name} has no section search, which says what a search varies (docs/search.md)")
    search = checked_section(Search, section, path, place)
    for name, of in search.ranges.items():
        if name == "seed":
            raise UserError(f"{path}: {place}.ranges.seed: the seed is no parameter to choose by; leave it out")
        for value in probes(lab, raw, name, of):
            try:
                parameters.checked(lab, with_values(lab, raw, {name: value}, path), path)
            except UserError as error:
                raise UserError(f"{error} ({place}.ranges.{name})") from None
    return search


def probes(lab: Lab, raw: Mapping[str, Any], name: str, of: Range) -> list[Any]:
    """The values that a range is checked by: its ends, or all of its choices."""
    if of.choices is not None:
        return list(of.choices)
    whole = _is_whole(current(lab, raw, name))
    return [int(end) if whole and end.is_integer() else end for end in of.ends]


def current(lab: Lab, raw: Mapping[str, Any], name: str) -> Any:
    """The value of a parameter of `train` as params.yaml has it; None where it is not there."""
    value: Any = raw[lab.name]["train"]
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def as_it_is(lab: Lab, raw: Mapping[str, Any], search: Search) -> dict[str, Any] | None:
    """What a trial with the values of params.yaml would draw; None where one is outside of its range."""
    drawn: dict[str, Any] = {}
    for name, of in search.ranges.items():
        value = current(lab, raw, name)
        if of.choices is not None:
            if value not in of.choices:
                return None
            drawn[name] = json.dumps(value)
        elif isinstance(value, int | float) and of.ends[0] <= value <= of.ends[1]:
            drawn[name] = value
        else:
            return None
    return drawn


def draw(trial: BaseTrial, lab: Lab, raw: Mapping[str, Any], search: Search) -> dict[str, Any]:
    """Values of the parameters that are searched over, by their names in `train`."""
    return {name: _draw(trial, name, of, current(lab, raw, name)) for name, of in search.ranges.items()}


def with_values(lab: Lab, raw: Mapping[str, Any], values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The blocks with values of the lab's section `train` laid over them. Raises UserError."""
    return overridden(dict(raw), assignments(lab, values), (lab.name,), path)


def assignments(lab: Lab, values: Mapping[str, Any]) -> list[str]:
    """As `dvc exp run -S` and `python -m pipelines -S` take them: <lab>.train.<name>=<value>."""
    return [f"{lab.name}.train.{name}={json.dumps(value)}" for name, value in values.items()]


def _draw(trial: BaseTrial, name: str, of: Range, now: Any) -> Any:
    if of.choices is not None:  # as text, because Optuna stores no lists
        return json.loads(trial.suggest_categorical(name, [json.dumps(choice) for choice in of.choices]))
    low, high = of.ends
    if _is_whole(now):
        return trial.suggest_int(name, int(low), int(high), log=of.log)
    drawn = trial.suggest_float(name, low, high, log=of.log)
    # The value of params.yaml stays as it is, whatever its figures.
    return drawn if drawn == now else min(high, max(low, float(f"{drawn:.{FIGURES}g}")))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

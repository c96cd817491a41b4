"""The best of several trainings, by the figure that each watched on validation data."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.config import parse
from components.errors import UserError
from components.files import read_json
from components.labs import Monitor


@dataclass(frozen=True)
class Best:
    index: int
    metrics: dict[str, float]


def grid(choices: Iterable[str], lab: str) -> list[list[str]]:
    """Every combination of `name=[value, ...]`, as `<lab>.train.name=value`. Raises UserError for no list."""
    axes = []
    for choice in choices:
        name, _, text = choice.partition("=")
        try:
            values = parse(text)
        except yaml.YAMLError:
            values = None
        if not isinstance(values, list) or not values:
            raise UserError(f"'{choice}' is no list to sweep over: write learning_rate=[0.05,0.1]")
        # JSON is YAML too, and says true where Python says True.
        axes.append([f"{lab}.train.{name}={json.dumps(value)}" for value in values])
    return [list(point) for point in itertools.product(*axes)]


def best_of(trainings: Sequence[Path], out: Path, monitor: Monitor) -> Best:
    """Copies the output of the best training to `out`, by the figure `monitor`; of equals, the first.

    Raises UserError where they did not all measure the same: models of different kinds share the figure's name only.
    """
    measured = sorted({", ".join(sorted(_metrics(folder))) for folder in trainings})
    if len(measured) > 1:
        raise UserError(
            f"some of these trainings measured {measured[0]} and others {'; '.join(measured[1:])}: their models are of "
            "different kinds, sweep over each apart"
        )
    figures = [_metrics(folder)[monitor.name] for folder in trainings]
    index = figures.index(min(figures) if monitor.direction == "min" else max(figures))
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(trainings[index], out)
    return Best(index, _metrics(out))


def comparison(trainings: Sequence[Path], candidates: Sequence[Mapping[str, Any]], best: int) -> str:
    """A Markdown table of what the candidates differ in, and of what they reached."""
    names = [name for name in candidates[0] if len({json.dumps(some.get(name)) for some in candidates}) > 1]
    monitor = read_json(trainings[0] / "training.json")["monitor"]
    lines = [f"| {' | '.join([*names, monitor])} | |", "|---" * (len(names) + 2) + "|"]
    for index, (folder, values) in enumerate(zip(trainings, candidates, strict=True)):
        cells = [json.dumps(values.get(name)) for name in names] + [f"{_metrics(folder)[monitor]:.5g}"]
        lines.append(f"| {' | '.join(cells)} | {'best' if index == best else ''} |")
    return "\n".join(lines) + "\n"


def _metrics(folder: Path) -> dict[str, float]:
    found: dict[str, float] = read_json(folder / "training.json")["metrics"]
    return found

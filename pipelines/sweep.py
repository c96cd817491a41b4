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

from components.errors import UserError
from components.files import read_json


@dataclass(frozen=True)
class Best:
    index: int
    metrics: dict[str, float]


def grid(choices: Iterable[str], lab: str) -> list[list[str]]:
    """Every combination of `name=[value, ...]` as assignments `<lab>.name=value`. Raises UserError for no list."""
    axes = []
    for choice in choices:
        name, _, text = choice.partition("=")
        try:
            values = yaml.safe_load(text)
        except yaml.YAMLError:
            values = None
        if not isinstance(values, list) or not values:
            raise UserError(f"'{choice}' is no list to sweep over: write learning_rate=[0.05,0.1]")
        # JSON is YAML too, and says true where Python says True.
        axes.append([f"{lab}.{name}={json.dumps(value)}" for value in values])
    return [list(point) for point in itertools.product(*axes)]


def best_of(trainings: Sequence[Path], out: Path) -> Best:
    """Copies the output of the best training to `out`: the lowest figure; of equals, the first.

    Raises UserError where they did not all watch the same figure.
    """
    monitors = sorted({read_json(folder / "training.json")["monitor"] for folder in trainings})
    if len(monitors) > 1:
        raise UserError(
            f"some of these trainings watched {monitors[0]} and others {', '.join(monitors[1:])}: sweep over each apart"
        )
    figures = [_figure(folder) for folder in trainings]
    index = figures.index(min(figures))
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(trainings[index], out)
    return Best(index, read_json(out / "training.json")["metrics"])


def comparison(trainings: Sequence[Path], candidates: Sequence[Mapping[str, Any]], best: int) -> str:
    """A Markdown table of what the candidates differ in, and of what they reached."""
    names = [name for name in candidates[0] if len({json.dumps(some[name]) for some in candidates}) > 1]
    monitor = read_json(trainings[0] / "training.json")["monitor"]
    lines = [f"| {' | '.join([*names, monitor])} | |", "|---" * (len(names) + 2) + "|"]
    for index, (folder, values) in enumerate(zip(trainings, candidates, strict=True)):
        cells = [json.dumps(values[name]) for name in names] + [f"{_figure(folder):.5g}"]
        lines.append(f"| {' | '.join(cells)} | {'best' if index == best else ''} |")
    return "\n".join(lines) + "\n"


def _figure(folder: Path) -> float:
    training = read_json(folder / "training.json")
    return float(training["metrics"][training["monitor"]])

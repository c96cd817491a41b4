"""What `repro` will run, and about how long that takes on this machine: told before it begins."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from components.errors import UserError
from components.steps.versions import write_versions
from components.tracking.runs import finished_steps

ALWAYS = ("versions", "gate", "promote")
"""Steps that DVC always runs; they take seconds."""
EDGE = re.compile(r'^"(.+)" -> "(.+)";$', re.MULTILINE)
"""From a stage to one that stands on it, in what `dvc dag --dot` prints."""


def plan(labs: Sequence[str], params: Path, build: Path) -> Iterator[str]:
    """A line for each dataset and lab of which something has changed, and one that sums up. DVC may still find the
    output of a step in its cache, and then takes that."""
    write_versions(params, build / "versions")
    stages = [stage for stage in changed(labs) if stage[0] not in ALWAYS]
    if not stages:
        yield "nothing has changed"
        return
    took = finished_steps()
    for subject in dict.fromkeys(subject for _, subject in stages):
        steps = [step for step, whose in stages if whose == subject]
        yield f"{subject}: {', '.join(steps)}{_time(took.get((subject, step)) for step in steps)}"
    yield f"{len(stages)} steps to run{_time(took.get((subject, step)) for step, subject in stages)}"


def changed(labs: Sequence[str]) -> list[tuple[str, str]]:
    """Steps of the graph of these labs that have changed or stand on one that has, each with its subject, in order."""
    goals = [f"promote@{lab}" for lab in labs]
    status = json.loads(_dvc("status", "--json", "--with-deps", *goals))
    graph: dict[str, list[str]] = {}  # from a stage to those that it stands on
    for below, above in EDGE.findall(_dvc("dag", "--dot")):
        graph.setdefault(above, []).append(below)
    runs: dict[str, bool] = {}  # after those that it stands on, which is the order in which they run

    def visit(name: str) -> bool:
        if name not in runs:
            below = [visit(stage) for stage in graph.get(name, ())]
            runs[name] = any(below) or any(map(_is_change, status.get(name, ())))
        return runs[name]

    for goal in goals:
        visit(goal)
    found = (name.partition("@") for name, changes in runs.items() if changes)
    return [(step, subject) for step, _, subject in found if subject]


def _dvc(*arguments: str) -> str:
    """What DVC prints. Raises UserError with the last thing that it says where it fails."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"dvc {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _is_change(why: object) -> bool:
    return why != "always changed"


def _time(seconds: Iterable[float | None]) -> str:
    known = list(seconds)
    if None in known:
        return ""
    minutes = sum(each or 0 for each in known) / 60
    return f" (took {minutes:.0f} min here)" if minutes >= 1 else " (took less than a minute here)"

"""What `repro` will run, and about how long that takes on this machine: told before it begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from components.steps.versions import write_versions
from components.tracking.runs import finished_steps

ALWAYS = ("versions", "gate", "promote")
"""Steps that DVC always runs; they take seconds."""


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
    from dvc.repo import Repo

    goals = [f"promote@{lab}" for lab in labs]
    with Repo() as repo:
        graph = repo.index.graph  # from a stage to those that it stands on
        stages = {stage.addressing: stage for stage in graph}
        status = repo.status(targets=goals, with_deps=True)
    runs: dict[str, bool] = {}  # after those that it stands on, which is the order in which they run

    def visit(name: str) -> bool:
        if name not in runs:
            below = [visit(stage.addressing) for stage in graph.successors(stages[name])]
            runs[name] = any(below) or any(map(_is_change, status.get(name, ())))
        return runs[name]

    for goal in goals:
        visit(goal)
    found = (name.partition("@") for name, changes in runs.items() if changes)
    return [(step, subject) for step, _, subject in found if subject]


def _is_change(why: object) -> bool:
    return why != "always changed"


def _time(seconds: Iterable[float | None]) -> str:
    known = list(seconds)
    if None in known:
        return ""
    minutes = sum(each or 0 for each in known) / 60
    return f" (took {minutes:.0f} min here)" if minutes >= 1 else " (took less than a minute here)"

"""What `repro` will run, and about how long that takes on this machine: told before it begins."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from components.errors import UserError
from components.steps.versions import write_versions
from components.tracking.runs import finished_steps

VERSIONS = "versions"
ALWAYS = (VERSIONS, "gate", "promote")
"""Steps that DVC always runs; they take seconds."""
EDGE = re.compile(r'^"(.+)" -> "(.+)";$', re.MULTILINE)
"""From a stage to one that stands on it, in what `dvc dag --dot` prints."""
MISSING = ("deleted", "not in cache")
"""What DVC says of a file that is not here, whether or not it is known how to make it."""


class Group(NamedTuple):
    """Labs that share stages, as those of one dataset do, and all stages that they need, in the order to run them.

    No two groups have a stage in common but VERSIONS, which is in none.
    """

    labs: tuple[str, ...]
    stages: tuple[str, ...]


class Plan(NamedTuple):
    lines: tuple[str, ...]
    """One for each dataset and lab of which something has changed, and one that sums up."""
    pulls: bool
    """Whether outputs are missing that have not changed, which a remote may have."""
    groups: tuple[Group, ...]
    """What can run at the same time."""


def plan(labs: Sequence[str], params: Path, build: Path, remote: str = "") -> Plan:
    """What DVC will run of the graph of these labs. It may still find an output in its cache, and then takes that.

    remote: where outputs come from that are missing and otherwise have not changed.
    """
    write_versions(params, build / "versions")
    graph = Graph.of(labs)
    missing = [stage for stage in graph.changed() if stage[0] not in ALWAYS]
    stages = [stage for stage in graph.changed(missing=False) if stage[0] not in ALWAYS] if remote else missing
    pulled = len(missing) - len(stages)
    found = [f"{pulled} outputs that have not changed come from {remote}, where it has them"] if pulled else []
    if not stages:
        return Plan((*found, "nothing has changed"), pulled > 0, graph.groups())
    took = finished_steps()
    for subject, steps in _by_subject(stages).items():
        found.append(f"{subject}: {', '.join(steps)}{_time(took.get((subject, step)) for step in steps)}")
    found.append(f"{len(stages)} steps to run{_time(took.get((subject, step)) for step, subject in stages)}")
    return Plan(tuple(found), pulled > 0, graph.groups())


def outdated(labs: Sequence[str], params: Path, build: Path) -> Iterator[str]:
    """A line for each dataset and lab of which dvc.lock is of other code, parameters or data than there are here."""
    write_versions(params, build / "versions")
    stages = [stage for stage in Graph.of(labs).changed(missing=False) if stage[0] not in ALWAYS]
    for subject, steps in _by_subject(stages).items():
        yield f"{subject}: {', '.join(steps)} changed since dvc.lock was written"


@dataclass(frozen=True)
class Graph:
    """DVC's stages, those that each stands on, and what it says has changed of those that the labs need."""

    labs: tuple[str, ...]
    edges: Mapping[str, Sequence[str]]
    status: Mapping[str, Sequence[str | dict[str, dict[str, object]]]]

    @classmethod
    def of(cls, labs: Sequence[str]) -> Graph:
        goals = [f"promote@{lab}" for lab in labs]
        edges: dict[str, list[str]] = {}
        for below, above in EDGE.findall(_dvc("dag", "--dot")):
            if below != VERSIONS:  # each stage depends on a file of its own there, whose change is told of that stage
                edges.setdefault(above, []).append(below)
        return cls(tuple(dict.fromkeys(labs)), edges, json.loads(_dvc("status", "--json", "--with-deps", *goals)))

    def changed(self, missing: bool = True) -> list[tuple[str, str]]:
        """Steps that have changed or stand on one that has, each with its subject, in the order in which they run.

        missing: whether a file that is not here is a change.
        """
        runs: dict[str, bool] = {}
        for name in self.order(self.labs):
            below = any(runs[stage] for stage in self.edges.get(name, ()))
            runs[name] = below or any(_is_change(why, missing) for why in self.status.get(name, ()))
        return [(step, subject) for step, _, subject in (name.partition("@") for name in runs if runs[name])]

    def order(self, labs: Sequence[str]) -> tuple[str, ...]:
        """Every stage that these labs need, after those that it stands on."""
        found: dict[str, None] = {}

        def visit(name: str) -> None:
            if name not in found:
                for stage in self.edges.get(name, ()):
                    visit(stage)
                found[name] = None

        for lab in labs:
            visit(f"promote@{lab}")
        return tuple(found)

    def groups(self) -> tuple[Group, ...]:
        """The labs in as many groups as can be."""
        found: list[tuple[str, ...]] = []
        for lab in self.labs:
            needed = set(self.order([lab]))
            joined = [group for group in found if not needed.isdisjoint(self.order(group))]
            place = found.index(joined[0]) if joined else len(found)
            found = [group for group in found if group not in joined]
            found.insert(place, (*(other for group in joined for other in group), lab))
        return tuple(Group(group, self.order(group)) for group in found)


def _by_subject(stages: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for step, subject in stages:
        found.setdefault(subject, []).append(step)
    return found


def _dvc(*arguments: str) -> str:
    """What DVC prints. Raises UserError with the last thing that it says where it fails."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"dvc {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _is_change(why: str | dict[str, dict[str, object]], missing: bool) -> bool:
    """why: as DVC says it; of parameters, the file's entry is a dictionary."""
    if isinstance(why, str):
        return why != "always changed"
    return missing or any(state not in MISSING for files in why.values() for state in files.values())


def _time(seconds: Iterable[float | None]) -> str:
    known = list(seconds)
    if None in known:
        return ""
    minutes = sum(each or 0 for each in known) / 60
    return f" (took {minutes:.0f} min here)" if minutes >= 1 else " (took less than a minute here)"

"""The compiled pipelines as plain graphs, for tests: who waits for whom, in which executor each task runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Spec = dict[str, Any]


def documents(path: Path) -> tuple[Spec, Spec]:
    """The pipeline and its platform's document of a compiled file."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast
    pipeline, platform = yaml.load_all(path.read_text(), loader)
    return pipeline, platform


def tasks(spec: Spec) -> dict[str, Spec]:
    """Every task of the pipeline by name, whichever condition, loop or exit handler it is in."""
    return {name: task for name, task, _ in _walk(spec, spec["root"]["dag"], ())}


def groups(spec: Spec) -> dict[str, tuple[Spec, ...]]:
    """The enclosing groups (exit handler, condition, loop) of every task, the outermost first."""
    return {name: around for name, _, around in _walk(spec, spec["root"]["dag"], ())}


def executor(spec: Spec, name: str) -> Spec:
    component = spec["components"][tasks(spec)[name]["componentRef"]["name"]]
    container: Spec = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    return container


def edges(spec: Spec) -> set[tuple[str, str]]:
    """(earlier, later) of all tasks that are steps; a task in a group waits for what its group waits for."""
    found = set()
    around = groups(spec)
    for name, task in tasks(spec).items():
        waits = [
            *task.get("dependentTasks", []),
            *(other for g in around[name] for other in g.get("dependentTasks", [])),
        ]
        found |= {(other, name) for other in waits if other in around}
    return found


def closure(found: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """(earlier, later) also for those that wait by way of others."""
    while True:
        more = found | {(a, d) for a, b in found for c, d in found if b == c}
        if more == found:
            return found
        found = more


def _walk(spec: Spec, dag: Spec, around: tuple[Spec, ...]) -> Iterator[tuple[str, Spec, tuple[Spec, ...]]]:
    for name, task in dag["tasks"].items():
        component = spec["components"][task["componentRef"]["name"]]
        if "dag" in component:
            yield from _walk(spec, component["dag"], (*around, task))
        else:
            yield name, task, around

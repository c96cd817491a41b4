"""What is asked for on the command line, checked before anything runs or is sent, and the pipeline made of it."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from components import params as parameters
from components.config import checked_section, read, unknown
from components.datasets import find_dataset
from components.errors import UserError
from components.files import write_text
from components.labs import Lab, find
from components.search import ranges
from components.search.ranges import search_of
from components.search.study import at_random
from components.sources.catalogue import Profile
from components.sources.pin import dataset_version
from pipelines.config import Pipelines, resource_name
from pipelines.ir_check import check
from pipelines.sweep import grid

if TYPE_CHECKING:
    from kfp.dsl.graph_component import GraphComponent

PARAMS = Path("params.yaml")
SECTIONS = ("train", "export", "evaluate", "audit", "gate")
"""Sections of a lab's block that are parameters of its pipeline."""


@dataclass(frozen=True)
class Request:
    """A lab, its parameters, and where it is to run.

    prepare: the block of its dataset. sections: the lab's block. Both are those of params.yaml with what was set laid
    over them. version: the dataset's. candidates: the sections `train` of a sweep; empty for a plain run.
    """

    lab: Lab
    prepare: dict[str, Any]
    sections: dict[str, Any]
    cluster: Pipelines
    profile: Profile
    version: str
    candidates: list[dict[str, Any]]

    @property
    def name(self) -> str:
        name = resource_name(self.lab.name)
        return f"{name}-sweep" if self.candidates else name

    def here(self) -> Request:
        """For one run on this machine: without the cluster's variables, and without waiting to try again."""
        needs = {name: need.model_copy(update={"retries": 0}) for name, need in self.cluster.tasks.items()}
        default = self.cluster.default.model_copy(update={"retries": 0})
        cluster = self.cluster.model_copy(update={"environment": {}, "default": default, "tasks": needs})
        return replace(self, cluster=cluster)

    def pipeline(self, environment: Mapping[str, str] | None = None) -> GraphComponent:
        """environment: variables of every task that take the place of the section's."""
        warnings.filterwarnings("ignore", category=FutureWarning, module="kfp")
        from pipelines.pipeline import Wiring, pipeline_of, sweep_of

        make = sweep_of if self.candidates else pipeline_of
        # At each setting of a task kfp reads the source of every caller up the stack: in a thread of its own that is
        # few. Deep in a test of a process with thousands of modules, a pipeline took seven seconds.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(make, Wiring(self.lab, self.cluster, environment or {}), self.arguments()).result()

    def arguments(self) -> dict[str, Any]:
        """Every parameter of the pipeline, by name."""
        own = {section: self.sections.get(section, {}) for section in SECTIONS}
        sweep = {"candidates": self.candidates} if self.candidates else {}
        return {"data_version": self.version, "prepare": self.prepare, **own, **sweep}


def request(
    lab_name: str,
    assignments: Sequence[str] = (),
    sweep: Sequence[str] = (),
    root: Path = Path(),
    trials: int = 0,
) -> Request:
    """Reads params.yaml, lays assignments (`music.train.hidden_size=256`) over it and checks all of it.

    sweep: `name=[value, ...]` of the lab's section `train`; every combination is checked. trials: draws from the
    ranges of the lab's section `search` instead. Raises UserError.
    """
    lab = find(lab_name)
    _only_its_dataset(lab, assignments)
    blocks = _plain(parameters.with_assignments(read(root / PARAMS), lab, assignments, PARAMS))
    parameters.checked(lab, blocks, PARAMS)
    data = parameters.checked_dataset(find_dataset(lab.dataset), blocks, PARAMS)
    candidates: list[dict[str, Any]] = []
    for point in _points(lab, blocks, sweep, trials):
        changed = _plain(parameters.with_assignments(blocks, lab, point, PARAMS))
        parameters.checked(lab, changed, PARAMS)
        if changed[lab_name]["train"] in candidates:
            raise UserError(f"two candidates of this sweep are equal, with {', '.join(point)}: give each value once")
        candidates.append(changed[lab_name]["train"])
    return Request(
        lab=lab,
        prepare=blocks[parameters.DATASETS_BLOCK][lab.dataset],
        sections=blocks[lab_name],
        cluster=checked_section(Pipelines, blocks.get("pipelines"), PARAMS, "pipelines"),
        profile=data.profile,
        version=dataset_version(root, lab.dataset, data.profile),
        candidates=candidates,
    )


def _points(lab: Lab, blocks: dict[str, Any], sweep: Sequence[str], trials: int) -> list[list[str]]:
    """What each candidate of a sweep sets; none for a plain run. Raises UserError."""
    if not trials:
        return grid(sweep, lab.name) if sweep else []
    if sweep:
        raise UserError("give either --sweep or --trials")
    search = search_of(lab, blocks, PARAMS)
    return [ranges.assignments(lab, values) for values in at_random(lab, blocks, search, trials)]


def _only_its_dataset(lab: Lab, assignments: Sequence[str]) -> None:
    """Raises UserError where an assignment names a dataset that the lab does not read."""
    for assignment in assignments:
        keys = assignment.partition("=")[0].split(".")
        if keys[0] == parameters.DATASETS_BLOCK and len(keys) > 1 and keys[1] != lab.dataset:
            raise UserError(unknown(PARAMS, ".".join(keys[:2]), keys[1], [lab.dataset]))


def _plain(value: Any) -> Any:
    """As Kubeflow can send it: a date becomes text, and a null is left out, which means the same everywhere."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, date) else value


def compile_to(pipeline: GraphComponent, file: Path) -> str:
    """Writes the pipeline as YAML, the same bytes for the same pipeline, and returns the hash of what it says.

    Raises UserError where a cluster would refuse it.
    """
    from google.protobuf.json_format import MessageToDict

    # Not by kfp's own compiler: the same two documents, but below a comment whose order changes from time to time.
    documents = [MessageToDict(pipeline.pipeline_spec), MessageToDict(pipeline.platform_spec)]
    check(*documents)
    write_text(file, yaml.dump_all(documents, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), width=110))
    return hashlib.sha256(json.dumps(documents, sort_keys=True).encode()).hexdigest()

"""What is asked for on the command line, checked before anything runs or is sent, and the pipeline made of it."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from components import config as parameters
from components.files import write_text
from components.labs import Lab, find
from components.sources.pin import dataset_version
from pipelines.config import Pipelines, resource_name
from pipelines.ir_check import check
from pipelines.sweep import grid

if TYPE_CHECKING:
    from kfp.dsl.graph_component import GraphComponent

PARAMS = Path("params.yaml")


@dataclass(frozen=True)
class Request:
    """A lab, its numbers, and where it is to run. sections: of params.yaml, with what was set laid over them."""

    lab: Lab
    sections: dict[str, Any]
    cluster: Pipelines
    version: str
    candidates: list[dict[str, Any]]
    """The lab's sections that a sweep trains with; empty for a plain run."""

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
        return make(self.lab, self.sections, self.version, Wiring(self.lab, self.cluster, environment or {}))

    def arguments(self) -> dict[str, Any]:
        """Every parameter of the pipeline, by name."""
        own = {name: (self.sections.get(name) or {}).get(self.lab.name, {}) for name in STEPS}
        data = {"dataset_version": self.version, "data_folder": self.sections["data"]["folder"]}
        sweep = {"candidates": self.candidates} if self.candidates else {}
        return {**data, "train": self.sections[self.lab.name], **own, **sweep}


STEPS = ("prepare", "export", "evaluate", "audit", "gate")


def request(lab_name: str, assignments: Sequence[str] = (), sweep: Sequence[str] = (), root: Path = Path()) -> Request:
    """Reads params.yaml, lays assignments (`music.hidden_size=256`) over it and checks all of it.

    sweep: `name=[value, ...]` of the lab's own section; every combination is checked. Raises UserError.
    """
    path = root / PARAMS
    lab = find(lab_name)
    sections = _plain(parameters.overridden(parameters.read(path), lab_name, assignments, PARAMS))
    params = parameters.checked(lab_name, sections, PARAMS)
    candidates = []
    for point in grid(sweep, lab_name) if sweep else []:
        changed = _plain(parameters.overridden(sections, lab_name, point, PARAMS))
        parameters.checked(lab_name, changed, PARAMS)
        candidates.append(changed[lab_name])
    return Request(
        lab=lab,
        sections=sections,
        cluster=parameters.section(Pipelines, sections, "pipelines", PARAMS),
        version=dataset_version(root / f"{params.data.folder}.dvc"),
        candidates=candidates,
    )


def _plain(value: Any) -> Any:
    """As Kubeflow can send it: a date becomes text, and a null is left out, which means the same in every section."""
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

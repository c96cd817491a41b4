"""The parameters of one lab or dataset, read from params.yaml and checked by the types that it declares."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.config import (
    DatasetParams,
    LabParams,
    ReproLimits,
    ServerLimits,
    checked_section,
    known,
    overridden,
    read,
    unknown,
)
from components.datasets import DATASETS, Dataset
from components.errors import UserError
from components.labs import LABS, Lab

DATASETS_BLOCK = "datasets"
SERVER_BLOCK = "server"
REPRO_BLOCK = "repro"
BLOCKS = (DATASETS_BLOCK, "pipelines", SERVER_BLOCK, REPRO_BLOCK, *LABS)
"""`pipelines` says how a cluster runs the steps, and is checked by the package of that name."""


def load(lab: Lab, path: Path) -> LabParams:
    """Reads and checks a lab's parameters.

    Raises UserError naming the first wrong key and, for an unknown one, the nearest key there is.
    """
    return checked(lab, read(path), path)


def load_dataset(dataset: Dataset, path: Path) -> DatasetParams:
    """Reads and checks a dataset's parameters. Raises UserError as `load` does."""
    return checked_dataset(dataset, read(path), path)


def load_server(path: Path) -> ServerLimits:
    """Reads and checks what bounds a server's connections. Raises UserError as `load` does."""
    raw = read(path)
    known(raw, BLOCKS, path)
    return checked_section(ServerLimits, raw.get(SERVER_BLOCK), path, SERVER_BLOCK)


def load_repro(path: Path) -> ReproLimits:
    """Reads and checks what bounds `make repro`. Raises UserError as `load` does."""
    return checked_section(ReproLimits, read(path).get(REPRO_BLOCK), path, REPRO_BLOCK)


def checked(lab: Lab, raw: dict[str, Any], path: Path) -> LabParams:
    """A lab's parameters out of the blocks of a params.yaml. `path` is what errors name. Raises UserError."""
    known(raw, BLOCKS, path)
    params = checked_section(lab.Params, raw.get(lab.name), path, lab.name)
    for metric in params.gate.metrics:
        if metric not in lab.gate_metrics:
            raise UserError(unknown(path, f"{lab.name}.gate.metrics.{metric}", metric, list(lab.gate_metrics)))
    return params


def checked_dataset(dataset: Dataset, raw: dict[str, Any], path: Path) -> DatasetParams:
    """A dataset's parameters out of the blocks of a params.yaml. `path` is what errors name. Raises UserError."""
    known(raw, BLOCKS, path)
    datasets = raw.get(DATASETS_BLOCK) or {}
    if not isinstance(datasets, dict):
        raise UserError(f"{path}: {DATASETS_BLOCK} is {datasets!r}: it holds a block a dataset")
    known(datasets, DATASETS, path, DATASETS_BLOCK)
    return checked_section(dataset.Params, datasets.get(dataset.name), path, f"{DATASETS_BLOCK}.{dataset.name}")


def with_assignments(raw: dict[str, Any], lab: Lab, assignments: Iterable[str], path: Path) -> dict[str, Any]:
    """The blocks with `name=value` of this lab, its dataset or the cluster laid over them. Raises UserError."""
    return overridden(raw, assignments, (DATASETS_BLOCK, "pipelines", lab.name), path)

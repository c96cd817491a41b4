"""A task's place: a project's root made of the task's inputs, in which a step runs as it runs on a laptop.

So a task is wiring and nothing else: the step finds inputs, numbers and the data's version where it always does.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from components.config import LabParams, read
from components.errors import UserError
from components.files import write_text
from components.labs import find
from components.params import checked
from components.settings import project_root, settings
from components.sources.version import write_pin
from components.tracking.journal import JOURNALS
from components.tracking.mlflow_client import database
from components.tracking.upload import upload_or_warn

if TYPE_CHECKING:
    from kfp.dsl import Artifact

BUILD = Path("build")
PARAMS = Path("params.yaml")

Sections = Mapping[str, Mapping[str, Any]]
"""Sections of params.yaml by the step that they are of. `train` is the lab's own."""


@contextlib.contextmanager
def place(
    lab: str, data_folder: str, data_version: str, sections: Sections, inputs: Mapping[str, str] | None = None
) -> Iterator[LabParams]:
    """Makes the working directory a new project root; yields the lab's checked parameters.

    inputs: paths of the outputs of earlier steps, by their name; `data` is the raw data. Numbers of other steps are
    those of the project that this code came with.
    """
    with work_folder():
        _write_params(lab, data_folder, sections)
        write_pin(Path(), data_folder, data_version)
        for name, path in (inputs or {}).items():
            _link(Path(data_folder) if name == "data" else BUILD / lab / name, path)
        yield checked(lab, read(PARAMS), PARAMS)


@contextlib.contextmanager
def work_folder() -> Iterator[None]:
    """A new working directory. What is journalled in it is uploaded to MLflow at the end, because it is gone then.

    Only where JOURNALS names a folder that stays do the journals wait there for a step that opens MLflow anyway.
    A UserError ends the process in one line.
    """
    log_as_the_command_line()
    with tempfile.TemporaryDirectory(prefix="task-") as folder, contextlib.chdir(folder):
        try:
            _check_tracking()
            if settings().checkpoints:
                _link(BUILD / ".checkpoints", str(settings().checkpoints))
            if settings().journals:
                _link(JOURNALS, str(settings().journals))
            try:
                yield
            finally:
                if not settings().journals:
                    upload_or_warn()
        except UserError as error:
            raise SystemExit(f"error: {error}") from error


def run_step(step: str, lab: str, sections: Sections, inputs: Mapping[str, Artifact], output: Artifact) -> Path:
    """Runs a step as `python -m components <step> <lab>` would, and returns its output folder, moved to `output`.

    The data's version is what the first input carries, and is written on the output: it needs no way of its own.
    """
    from components import __main__ as command_line

    carried = next(iter(inputs.values())).metadata
    version = {name: carried[name] for name in ("data_folder", "data_version")}
    with place(lab, **version, sections=sections, inputs={name: found.path for name, found in inputs.items()}):
        getattr(command_line, step)(lab, PARAMS, BUILD)
        output.metadata.update(version)
        return land(BUILD / lab / step, output.path)


def sections_of(lab: str, train: Any, prepare: Any, export: Any, evaluate: Any, audit: Any, gate: Any) -> Sections:
    """All sections of a lab by step; `audit` counts only where the lab is audited."""
    every = {"train": train, "prepare": prepare, "export": export, "evaluate": evaluate, "gate": gate}
    return {**every, "audit": audit} if find(lab).audited else every


def land(source: Path, output: str) -> Path:
    """Moves a folder to where Kubeflow takes an output from; one that a failed attempt left there is replaced."""
    target = Path(output)
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)
    return target


def log_as_the_command_line() -> None:
    """Ours at the level asked for; libraries only when something is wrong."""
    logging.basicConfig(level="WARNING", format="%(levelname)s %(message)s", stream=sys.stderr, force=True)
    for package in ("components", "pipelines"):
        logging.getLogger(package).setLevel(settings().log_level)


def _link(link: Path, path: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(Path(path).absolute())


def _check_tracking() -> None:
    file = database(settings().mlflow_tracking_uri)
    if file is not None and not file.is_absolute():
        raise UserError("MLFLOW_TRACKING_URI must name a server: a database in a task's own folder is gone with it")


def _write_params(lab: str, data_folder: str, sections: Sections) -> None:
    raw = read(project_root() / PARAMS)
    raw["data"] = {"folder": data_folder}
    for step, values in sections.items():
        if step == "train":
            raw[lab] = whole(values)
        else:
            raw[step] = {**(raw.get(step) or {}), lab: whole(values)}
    write_text(PARAMS, yaml.safe_dump(raw, sort_keys=False))


def whole(value: Any) -> Any:
    """Kubeflow's numbers are all doubles: 2 comes as 2.0, and where a whole number is meant, 2.0 would be refused."""
    if isinstance(value, Mapping):
        return {name: whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

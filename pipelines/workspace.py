"""The working directory of a task: a project's root made of the task's inputs, in which a step runs as on a laptop.

So a task holds no logic: the step finds inputs, parameters and the data's version where it always does.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from components.config import read
from components.datasets import find_dataset
from components.errors import UserError
from components.files import write_text
from components.labs import find
from components.params import DATASETS_BLOCK, checked, checked_dataset
from components.redaction import configure_logging
from components.settings import project_root, settings
from components.sources.catalogue import Profile, raw_folder
from components.sources.version import bring_version, bring_weights, pin_version, resolved
from components.tracking.journal import JOURNALS
from components.tracking.mlflow_client import database
from components.tracking.upload import upload_or_warn

if TYPE_CHECKING:
    from kfp.dsl import Artifact

BUILD = Path("build")
PARAMS = Path("params.yaml")
DATASET_STEPS = ("prepare", "validate")
"""Steps that run on a dataset; the others run on a lab."""

WEIGHTS_STEPS = ("train", "export")
"""Steps that read the pretrained weights of a lab, in the versions that the image's code pins."""

Sections = Mapping[str, Mapping[str, Any]]
"""Sections of a lab's block of params.yaml, by name."""


class Opened(NamedTuple):
    """What the first task of a run finds out for the others."""

    data_version: str
    data_profile: str


class Data(NamedTuple):
    """The data that artifacts are made of. Every artifact carries it in its metadata, so tasks need no parameter."""

    dataset: str
    data_profile: Profile
    data_version: str

    @classmethod
    def of(cls, artifact: Artifact) -> Data:
        return cls(**{name: artifact.metadata[name] for name in cls._fields})

    def carried_by(self, artifact: Artifact) -> None:
        artifact.metadata.update(self._asdict())


@contextlib.contextmanager
def project(data: Data, name: str, sections: Sections, block: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Makes the working directory a new project root.

    name: the lab or dataset that a step is run on. sections: of the lab's block. block: the dataset's, where the step
    reads it. Parameters of other steps are those of the project that this code came with.
    """
    with work_folder():
        raw = read(project_root() / PARAMS)
        raw[DATASETS_BLOCK][data.dataset] |= {**whole(block or {}), "profile": data.data_profile}
        if sections:
            raw[name] = {**raw[name], **whole(sections)}
        write_text(PARAMS, yaml.dump(raw, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False))
        pin_version(Path(), data.dataset, data.data_profile, data.data_version)
        yield


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


def open_pipeline_run(lab: str, data_version: str, prepare: Mapping[str, Any], sections: Sections) -> Opened:
    """Checks every parameter of a pipeline as the command line does, and opens its MLflow run.

    prepare: the block of the lab's dataset. sections: of the lab; `audit` counts only where the lab is audited.
    data_version: a version, or the address of a pin.
    """
    from components.tracking.runs import open_parent

    found = find(lab)
    used = {name: whole(values) for name, values in sections.items() if name != "audit" or found.audited}
    with work_folder():
        raw = read(project_root() / PARAMS)
        raw[DATASETS_BLOCK][found.dataset] = whole(prepare)
        raw[lab] = {**raw[lab], **used}
        checked(found, raw, PARAMS)
        data = checked_dataset(find_dataset(found.dataset), raw, PARAMS)
        opened = Opened(resolved(data_version, found.dataset, data.profile), data.profile)
        tags = {"lab": lab, **opened._asdict()}
        open_parent(f"kubeflow {lab}", tags, {"prepare": prepare, **used})
    return opened


def bring_data(raw: Artifact) -> None:
    """Brings the data that an artifact's metadata names into it, and checks every file."""
    data = Data.of(raw)
    with work_folder():
        land(bring_version(Path(), data.dataset, data.data_profile, data.data_version), raw.path)


def run_step(
    step: str,
    name: str,
    inputs: Mapping[str, Artifact],
    output: Artifact,
    sections: Sections | None = None,
    block: Mapping[str, Any] | None = None,
) -> Path:
    """Runs a step as `python -m components <step> <name>` would, and returns its output folder, moved to `output`.

    name: a lab's, or a dataset's of the steps prepare and validate. inputs: outputs of earlier steps, by their name;
    `raw` is the raw data. sections, block: parameters, as `project` takes them.
    """
    from components import __main__ as command_line

    data = Data.of(next(iter(inputs.values())))
    if step == "promote" and not settings().signing_key:
        raise SystemExit("error: SIGNING_KEY must name a key: one made in a task's own folder is gone with it")
    with project(data, name, sections or {}, block):
        if step in WEIGHTS_STEPS:
            bring_weights(Path(), find(name).pretrained)
        for earlier, found in inputs.items():
            _link(_place_of(earlier, name, data), found.path)
        getattr(command_line, step)(name, PARAMS, BUILD)
        data.carried_by(output)
        return land(BUILD / name / step, output.path)


def _place_of(earlier: str, name: str, data: Data) -> Path:
    """Where a step looks for what an earlier one made."""
    if earlier == "raw":
        return raw_folder(data.dataset, data.data_profile)
    return BUILD / (data.dataset if earlier in DATASET_STEPS else name) / earlier


def land(source: Path, output: str) -> Path:
    """Moves a folder to where Kubeflow takes an output from; one that a failed attempt left there is replaced."""
    target = Path(output)
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)
    return target


def log_as_the_command_line() -> None:
    """Ours at the level asked for; libraries only when something is wrong."""
    configure_logging()
    for package in ("components", "pipelines"):
        logging.getLogger(package).setLevel(settings().log_level)


def _link(link: Path, path: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(Path(path).absolute())


def _check_tracking() -> None:
    file = database(settings().mlflow_tracking_uri)
    if file is not None and not file.is_absolute():
        raise UserError("MLFLOW_TRACKING_URI must name a server: a database in a task's own folder is gone with it")


def whole(value: Any) -> Any:
    """Kubeflow's numbers are all doubles: 2 comes as 2.0, and where a whole number is meant, 2.0 would be refused."""
    if isinstance(value, Mapping):
        return {name: whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

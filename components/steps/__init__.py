"""The steps, a file each, and what surrounds every one: its subject is found, its numbers checked, its run recorded."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components import params as parameters
from components.config import DatasetParams, LabParams
from components.datasets import Dataset, find_dataset
from components.errors import UserError
from components.labs import Inputs, Lab, find
from components.sources.catalogue import raw_folder
from components.sources.pin import dataset_version
from components.tracking import journal
from components.tracking.mlflow_client import MlflowError

if TYPE_CHECKING:
    from components.records import Provenance
    from components.tracking.journal import Run

REPORTS = (".json", ".html", ".css", ".md", ".csv", ".svg", ".png", ".jpg", ".gif", ".webm", ".abc")
"""Files of a step's output that people look at; they are kept with its run. Data and weights are DVC's."""
GARBAGE_THRESHOLDS = 100_000, 50, 100
"""New objects after which Python looks for cycles, and how often it also looks through the older two generations."""


@dataclass(frozen=True)
class DatasetStep:
    """One execution of `prepare` or `validate` on a dataset. raw: its raw files."""

    dataset: Dataset
    params: DatasetParams
    build: Path
    raw: Path
    out: Path
    run: Run

    def output_of(self, step: str) -> Path:
        """The folder that an earlier step wrote. Raises UserError that names the command which writes it."""
        return _output(self.build, self.dataset.name, step)


@dataclass(frozen=True)
class LabStep:
    """One execution of a step on a lab. build: the folder of all outputs, build/<dataset or lab>/<step>."""

    lab: Lab
    params: LabParams
    provenance: Provenance
    build: Path
    out: Path
    run: Run

    def output_of(self, step: str) -> Path:
        """The folder that an earlier step wrote. Raises UserError that names the command which writes it."""
        return _output(self.build, self.lab.name, step)

    @property
    def inputs(self) -> Inputs:
        """What training, export and evaluation read. Raises UserError that names the command which makes it."""
        return inputs_of(self.lab, self.build)

    def audited(self) -> Path | None:
        """The output of the audit, of an audited lab. Raises UserError that names the command which writes it."""
        return self.output_of("audit") if self.lab.audited else None

    def reference_decisions(self) -> dict[str, Path]:
        """Where the gates of the labs that this one is measured with write their decisions, if they ran here."""
        return {name: self.build / name / "gate" for name in self.lab.reference_models}

    def reference_models(self) -> dict[str, Path]:
        """The bundles that the lab is measured with: those made here, or, where one was not, the registry's champion.

        Raises UserError that names the command which makes the missing one; MlflowError on an outage.
        """
        return {name: self._reference_model(name) for name in self.lab.reference_models}

    def _reference_model(self, name: str) -> Path:
        from components.tracking.registry import fetch_model

        folder = self.build / name / "export"
        if folder.is_dir():
            return folder
        try:
            return fetch_model(f"models:/{name}@champion", self.build / self.lab.name / "reference_models" / name)
        except MlflowError:
            raise
        except UserError as error:
            raise UserError(
                f"{self.lab.name} is measured with the bundle of the lab {name}, and {folder} is missing "
                f"(nor is there a champion: {error}): run `make repro LAB={name}` first"
            ) from None


def weights_of(lab: Lab) -> dict[str, Path]:
    """The folders of a lab's pretrained weights. Raises UserError that names the command which brings a missing one."""
    folders = {name: raw_folder(name, "course") for name in lab.pretrained}
    for name, folder in folders.items():
        if not folder.is_dir():
            raise UserError(
                f"{folder} is missing: run `python -m components fetch {lab.name}` for the weights of {name}"
            )
    return folders


def inputs_of(lab: Lab, build: Path) -> Inputs:
    """The prepared data and pretrained weights of a lab. Raises UserError that names the command which makes them."""
    return Inputs(_output(build, lab.dataset, "prepare"), weights_of(lab))


def _output(build: Path, name: str, step: str) -> Path:
    folder = build / name / step
    if not folder.is_dir():
        raise UserError(f"{folder} is missing: run `python -m components {step} {name}` first")
    return folder


@contextmanager
def dataset_step(name: str, dataset_name: str, params_file: Path, build: Path) -> Iterator[DatasetStep]:
    """Finds the dataset, checks its parameters and records the block as a run with the reports that it writes.

    Raises UserError for an unknown dataset, a wrong parameter, or an MLflow that can't be reached.
    """
    from components.tracking.runs import tracked

    _collect_garbage_rarely()
    dataset = find_dataset(dataset_name)
    params = parameters.load_dataset(dataset, params_file)
    out = build / dataset_name / name
    data = (params.profile, dataset_version(Path(), dataset_name, params.profile))
    tags = {"dataset": dataset_name, "data_profile": data[0], "data_version": data[1]}
    with tracked(dataset_name, name, params.model_dump(mode="json"), tags, data, folder=build / journal.NAME) as run:
        yield DatasetStep(dataset, params, build, raw_folder(dataset_name, params.profile), out, run)
        _log_reports(run, out)


@contextmanager
def lab_step(name: str, lab_name: str, params_file: Path, build: Path, live: bool = False) -> Iterator[LabStep]:
    """Finds the lab, checks its parameters and records the block as a run with the reports that it writes.

    live: upload to MLflow while the step runs, for steps that take minutes.
    Raises UserError for an unknown lab, a step that it has not, a wrong parameter, or an MLflow that can't be reached.
    """
    from components.provenance import provenance
    from components.tracking.runs import tracked

    if not live:
        _collect_garbage_rarely()
    lab = find(lab_name)
    params = parameters.load(lab, params_file)
    if name == "audit" and not lab.audited:
        raise UserError(f"the lab {lab_name} has no audit: its gate reads the evaluation alone")
    made_from = provenance(lab, params, parameters.load_dataset(find_dataset(lab.dataset), params_file))
    values = params.model_dump(mode="json", include={name}).get(name) or {}
    tags = {"lab": lab_name} | {field: str(value) for field, value in made_from}
    data = (made_from.data_profile, made_from.data_version)
    out = build / lab_name / name
    with tracked(lab_name, name, values, tags, data, live=live, folder=build / journal.NAME) as run:
        yield LabStep(lab, params, made_from, build, out, run)
        _log_reports(run, out)


def _collect_garbage_rarely() -> None:
    """Python looks for cycles after every 700 new objects: in a short step, a sixth of the time of its imports.

    Training keeps that: its cycles may hold large tensors.
    """
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def _log_reports(run: Run, out: Path) -> None:
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.suffix in REPORTS:
            run.log_artifact(path)

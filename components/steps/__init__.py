"""The steps, a file each, and what surrounds every one: its lab is found, its numbers checked, its run recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components import config as parameters
from components.config import LabParams
from components.errors import UserError
from components.labs import Lab, find
from components.tracking import journal
from components.tracking.mlflow_client import MlflowError

if TYPE_CHECKING:
    from components.tracking.journal import Run

REPORTS = (".json", ".html", ".css", ".md", ".csv", ".svg", ".png", ".abc")
"""Files of a step's output that people look at; they are kept with its run. Data and weights are DVC's."""


@dataclass(frozen=True)
class Step:
    """One execution of a step on a lab."""

    lab: Lab
    params: LabParams
    build: Path
    """The lab's folder of outputs, build/<lab>."""
    out: Path
    run: Run

    def output_of(self, step: str) -> Path:
        """The folder that an earlier step wrote. Raises UserError that names the command which writes it."""
        folder = self.build / step
        if not folder.is_dir():
            raise UserError(f"{folder} is missing: run `python -m components {step} {self.lab.name}` first")
        return folder

    def instruments(self) -> dict[str, Path]:
        """The bundles that the lab is measured with: those made here, or, where one was not, the registry's champion.

        Raises UserError that names the command which makes the missing one; MlflowError on an outage.
        """
        return {name: self._instrument(name) for name in self.lab.instruments}

    def _instrument(self, name: str) -> Path:
        from components.tracking.registry import fetch_model

        folder = self.build.parent / name / "export"
        if folder.is_dir():
            return folder
        try:
            return fetch_model(f"models:/{name}@champion", self.build / "instruments" / name)
        except MlflowError:
            raise
        except UserError as error:
            raise UserError(
                f"{self.lab.name} is measured with the bundle of the lab {name}, and {folder} is missing "
                f"(nor is there a champion: {error}): run `make repro LAB={name}` first"
            ) from None


@contextmanager
def recorded(name: str, lab_name: str, params_file: Path, build: Path, live: bool = False) -> Iterator[Step]:
    """Finds the lab, checks its parameters and records the block as a run with the reports that it writes.

    live: upload to MLflow while the step runs, for steps that take minutes.
    Raises UserError for an unknown lab, a step that it has not, a wrong parameter, or an MLflow that can't be reached.
    """
    from components.provenance import provenance
    from components.tracking.runs import tracked

    lab = find(lab_name)
    params = parameters.load(lab_name, params_file)
    out = build / lab_name / name
    values = params.model_dump(mode="json", include={name}).get(name, {})
    if values is None:
        raise UserError(f"the lab {lab_name} has no {name}")
    journals = build / journal.NAME
    with tracked(lab_name, name, values, provenance(lab_name, params), live, journals) as run:
        yield Step(lab, params, build / lab_name, out, run)
        for path in sorted(out.rglob("*")):
            if path.is_file() and path.suffix in REPORTS:
                run.log_artifact(path)

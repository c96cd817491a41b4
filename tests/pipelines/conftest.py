"""A scratch copy of the project with a small data version of its own, in which pipelines run for real."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.sources.catalogue import raw_folder
from tests.digits_data import raw_folders
from tests.workspace import SMOKE, Workspace

BOUNDS = {"accuracy": {"min": 0.0, "min_count": 1}, "calibration_error": {"max": 1.0, "min_count": 1}}
"""Bounds of a demonstration, so that the first candidate passes."""
RAW = raw_folder("digits", "starter")


@pytest.fixture(scope="package")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Its data are scikit-learn's digits alone, taken on purpose: a version that sources.toml does not know."""
    made = Workspace(tmp_path_factory.mktemp("kubeflow"))
    shutil.rmtree(made.folder / "data", ignore_errors=True)
    shutil.copytree(raw_folders()["uci"], made.folder / RAW)
    made.set_params(SMOKE)
    made.set_params({"datasets": {"digits": {"profile": "starter", "limit": 600}}})
    made.set_params({"mlp": {"gate": {"metrics": BOUNDS, "profile": None}}})
    (made.folder / RAW / "uci" / "note").write_text("the same digits, another version\n")
    made.run("python", "-m", "components", "accept-data", "digits")
    return made


@dataclass(frozen=True)
class Ran:
    """A run of the pipeline in which the gate let the candidate pass. outputs: a folder for each task."""

    workspace: Workspace
    said: str
    outputs: Path


@pytest.fixture(scope="package")
def ran(workspace: Workspace) -> Ran:
    said = workspace.run("python", "-m", "pipelines", "run", "mlp").stdout
    (outputs,) = (workspace.folder / "build" / "kubeflow").glob("*/mlp-*")
    return Ran(workspace, said, outputs)


def read(path: Path) -> Any:
    return json.loads(path.read_text())

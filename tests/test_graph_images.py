"""The real graph of a lab that is measured with another lab's bundle: DVC makes that one first."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.digits_data import raw_folders
from tests.workspace import SMOKE, Workspace

pytestmark = pytest.mark.slow

BOUNDS = {
    "relative_frechet_distance": {"max": 100.0, "max_regression": None, "min_count": 1},
    "recall": {"min": 0.0, "max_regression": None, "min_count": 1},
}
"""A demonstration's, so that the first candidate passes."""

OF_DIGITS = {
    "accuracy": {"min": 0.0, "max_regression": None, "min_count": 1},
    "worst_digit_accuracy": {"min": 0.0, "max_regression": None, "min_count": 1},
    "shift_accuracy": {"min": 0.0, "max_regression": None, "min_count": 1},
    "calibration_error": {"max": 1.0, "max_regression": None, "min_count": 1},
}
"""The instrument's, which must have passed its own gate."""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A scratch copy with scikit-learn's digits alone, in which `images` was asked for and nothing else."""
    workspace = Workspace(tmp_path_factory.mktemp("images"))
    for name in ("data", "data.starter"):
        shutil.rmtree(workspace.folder / name, ignore_errors=True)
    shutil.copytree(raw_folders()["uci"] / "digits", workspace.folder / "data.starter" / "digits")
    workspace.set_params(SMOKE)
    workspace.set_params({"data": {"folder": "data.starter"}, "digits": {"max_epochs": 1}})
    workspace.set_params({"prepare": {"images": {"limit": 400}, "digits": {"limit": 400}}, "images": {"max_epochs": 1}})
    workspace.set_params({"evaluate": {"images": {"samples": 50, "manifold_samples": 20}}})
    workspace.set_params({"gate": {"images": {"metrics": BOUNDS, "profile": None}}})
    workspace.set_params({"gate": {"digits": {"metrics": OF_DIGITS, "profile": None}}})
    here = str(workspace.folder)
    workspace.run("python", "-m", "components", "accept-data", PYTHONPATH=here)
    workspace.run("python", "-m", "components", "repro", "images", PYTHONPATH=here)
    return workspace


def read(graph: Workspace, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((graph.folder / "build" / name).read_text())
    return content


def test_the_instrument_is_made_and_is_the_one_that_measured(graph: Workspace) -> None:
    assert read(graph, "digits/gate/decision.json")["verdict"] == "PASS"
    assert not (graph.folder / "build/digits/promote").exists(), "of digits, no more than was asked for"
    measured_with = read(graph, "images/evaluate/evaluation.json")["instruments"]
    assert measured_with == {"digits": read(graph, "digits/export/bundle.json")["digest"]}


def test_what_was_measured_so_is_promoted(graph: Workspace) -> None:
    decision, promotion = read(graph, "images/gate/decision.json"), read(graph, "images/promote/promotion.json")
    assert decision["verdict"] == "PASS"
    assert decision["model_digest"] == read(graph, "images/export/bundle.json")["digest"]
    assert promotion["version"] == "1"


def test_dvc_plots_its_distances_and_its_instruments_curve(graph: Workspace) -> None:
    shown = json.loads(graph.run("dvc", "plots", "show", "--json", PYTHONPATH=str(graph.folder)).stdout)
    assert len(shown["data"]["images nearest"]) == 1
    assert len(shown["data"]["digits training"]) == 1

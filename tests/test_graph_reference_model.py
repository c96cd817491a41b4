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
    "ood_auroc": {"min": 0.0, "max_regression": None, "min_count": 1},
    "abstain_rate": {"max": 1.0, "max_regression": None, "min_count": 1},
}
"""The reference model's, which must have passed its own gate."""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A scratch copy with scikit-learn's digits alone, in which `digit_generation` was asked for and nothing else."""
    workspace = Workspace(tmp_path_factory.mktemp("digit_generation"))
    shutil.rmtree(workspace.folder / "data", ignore_errors=True)
    shutil.copytree(raw_folders()["uci"], workspace.folder / "data" / "starter" / "digits")
    workspace.set_params(SMOKE)
    workspace.set_params({"datasets": {"digits": {"profile": "starter", "limit": 400}}})
    workspace.set_params({"digits": {"train": {"max_epochs": 1}, "gate": {"metrics": OF_DIGITS, "profile": None}}})
    small = {"samples": 50, "manifold_samples": 20}
    gate = {"metrics": BOUNDS, "profile": None}
    workspace.set_params({"digit_generation": {"train": {"max_epochs": 1}, "evaluate": small, "gate": gate}})
    workspace.run("python", "-m", "components", "repro", "digit_generation")
    return workspace


def read(graph: Workspace, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((graph.folder / "build" / name).read_text())
    return content


def test_the_reference_model_is_made_and_is_the_one_that_measured(graph: Workspace) -> None:
    assert read(graph, "digits/gate/decision.json")["verdict"] == "PASS"
    assert not (graph.folder / "build/digits/promote").exists(), "of digits, no more than was asked for"
    measured_with = read(graph, "digit_generation/evaluate/evaluation.json")["reference_models"]
    assert measured_with == {"digits": read(graph, "digits/export/bundle.json")["digest"]}


def test_what_was_measured_so_is_promoted(graph: Workspace) -> None:
    decision, promotion = (
        read(graph, "digit_generation/gate/decision.json"),
        read(graph, "digit_generation/promote/promotion.json"),
    )
    assert decision["verdict"] == "PASS"
    assert decision["model_digest"] == read(graph, "digit_generation/export/bundle.json")["digest"]
    assert promotion["version"] == "1"


def test_dvc_plots_its_distances_and_its_reference_models_curve(graph: Workspace) -> None:
    shown = json.loads(graph.run("dvc", "plots", "show", "--json").stdout)
    assert len(shown["data"]["digit_generation nearest"]) == 1
    assert len(shown["data"]["digits training"]) == 1

"""The real graph of a lab that is measured with another lab's bundle: DVC makes that one first."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.stack import BUCKET, store
from tests.digits_data import raw_folders
from tests.serving.servers import serving
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


class Clone:
    """What git brings of the scratch copy: no data, no output, no cache and no registry."""

    def __init__(self, graph: Workspace, folder: Path, keys: dict[str, str]) -> None:
        subprocess.run(["git", "clone", "-q", str(graph.folder), str(folder)], check=True)
        assert not {"data", "build", "mlflow.db"} & {path.name for path in folder.iterdir()}
        self.folder = folder
        self._environment = {**graph.environment(), **keys, "PYTHONPATH": str(folder)}

    def run(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    @property
    def is_as_committed(self) -> bool:
        return subprocess.run(["git", "diff", "--quiet"], cwd=self.folder, check=False).returncode == 0


@pytest.fixture(scope="module")
def clone(graph: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone of a commit with dvc.lock, whose outputs are in an S3 store."""
    lock = (graph.folder / "dvc.lock").read_bytes()
    graph.run("python", "-m", "components", "repro", "digit_generation")
    assert (graph.folder / "dvc.lock").read_bytes() == lock, "nothing in it is of this machine's registry"
    with store(tmp_path_factory.mktemp("store")) as keys:
        endpoint = keys.pop("AWS_ENDPOINT_URL")
        graph.run("python", "-m", "components", "remote", f"s3://{BUCKET}/labs", "--endpoint-url", endpoint)
        graph.run("dvc", "push", check=True, **keys)
        graph.run("git", "add", "-A")
        graph.run("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "made")
        yield Clone(graph, tmp_path_factory.mktemp("clone") / "project", keys)


def test_a_clone_pulls_judges_promotes_and_serves_what_it_has_not_trained(
    graph: Workspace, clone: Clone, tmp_path: Path
) -> None:
    done = clone.run("components", "pull")
    assert "pulling digits, digit_generation from" in done.stderr
    assert "changed since" not in done.stderr
    for name in ("digits", "digit_generation"):
        steps = {path.name for path in (clone.folder / "build" / name).iterdir()}
        assert steps == {"export", "evaluate", "gate", "promote"}, "neither data nor checkpoints"
    with serving("digit_generation", "models:/digit_generation@champion", tmp_path, project=clone.folder) as server:
        about = server.client.get("/info").json()["model"]
    assert about["promoted"] is True
    assert about["model_digest"] == read(graph, "digit_generation/export/bundle.json")["digest"]
    assert clone.is_as_committed


DECISIONS = ["versions", "gate@digits", "gate@digit_generation", "promote@digit_generation"]
"""Stages that always run, in seconds: what they read is of this machine's registry."""


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"Running stage '(.*)'", done.stdout)


def test_dvc_repro_runs_nothing_in_a_clone_but_the_decisions(clone: Clone) -> None:
    assert ran(clone.run("dvc", "repro", "--allow-missing", "promote@digit_generation")) == DECISIONS
    assert clone.is_as_committed


def test_make_repro_in_a_clone_takes_what_is_missing_from_the_remote(graph: Workspace, clone: Clone) -> None:
    shutil.copytree(graph.folder / "data", clone.folder / "data")
    done = clone.run("components", "repro", "digit_generation")
    plan = [line.partition("plan: ")[2] for line in done.stderr.splitlines() if "plan:" in line]
    assert plan[0].endswith(f"outputs that have not changed come from s3://{BUCKET}/labs, where it has them")
    assert plan[1:] == ["nothing has changed"]
    assert ran(done) == DECISIONS
    assert (clone.folder / "build/digit_generation/train/model.ckpt").is_file()
    assert clone.is_as_committed


def test_a_clone_whose_code_differs_is_told_what_it_pulls(clone: Clone) -> None:
    model = clone.folder / "components" / "labs" / "digits" / "model.py"
    model.write_text(model.read_text() + "\nLIMIT = 1\n")
    done = clone.run("components", "pull", "digits")
    assert "digits: train, export, evaluate changed since dvc.lock was written: what was pulled is older" in done.stderr

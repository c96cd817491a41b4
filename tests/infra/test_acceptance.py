"""The acceptance suite for clusters, as far as it can be tested without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.labs import LABS
from pipelines.run_spec import request
from tests.cluster.options import small
from tests.cluster.overlay import Passwords, in_namespace
from tests.cluster.runs import BOUNDS, assignments
from tests.infra.manifests import OVERLAYS

PROJECT = Path(__file__).resolve().parents[2]


def test_without_a_cluster_every_part_is_skipped_aloud_and_the_exit_code_says_that_nothing_ran(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-m", "cluster", "-rs", "-p", "no:cacheprovider", "tests/cluster"]
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "none")}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "NO CLUSTER: " in done.stdout
    assert "NOTHING RAN on a cluster" in done.stdout
    assert " failed" not in done.stdout


def test_the_suite_is_no_part_of_the_others() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/cluster"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "test_part" not in done.stdout


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_moved_whole_into_another_namespace(overlay: str) -> None:
    moved = in_namespace(overlay, "elsewhere")
    assert moved[0]["kind"] == "Namespace"
    assert {one["metadata"].get("namespace", one["metadata"]["name"]) for one in moved} == {"elsewhere"}
    (hosts,) = [one["data"]["HOSTS"] for one in moved if "HOSTS" in one.get("data", {})]
    assert "tracking.elsewhere.svc:5000" in hosts
    assert "tracking.labs" not in hosts


def test_the_secrets_that_the_suite_chooses_are_those_that_the_examples_name() -> None:
    chosen = {one["metadata"]["name"]: set(one["stringData"]) for one in Passwords().as_secrets("elsewhere")}
    folder = PROJECT / "infra" / "k8s" / "secrets"
    for name, keys in chosen.items():
        example = folder / f"{name}.example.env"
        text = example.read_text() if example.exists() else "store.json="
        assert keys == {line.split("=")[0] for line in text.splitlines() if not line.startswith("#")}


@pytest.mark.parametrize("lab", LABS)
def test_its_runs_are_ones_that_submit_takes(lab: str) -> None:
    asked = request(lab, assignments("elsewhere", lab), root=PROJECT)
    assert asked.cluster.environment["MLFLOW_TRACKING_URI"] == "http://tracking.elsewhere.svc:5000"
    assert ("profile" in asked.sections["gate"]) is (lab not in BOUNDS)
    assert small(lab)

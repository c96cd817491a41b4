"""Runs of pipelines on the cluster: submitted by the command line, and looked at in Kubeflow and MLflow."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pipelines.cluster import find_run
from pipelines.connection import Kubeflow
from pipelines.progress import Step, steps
from tests.cluster import options
from tests.cluster.conftest import KEY, KEYS, SECRET, Platform, environment
from tests.workspace import PROJECT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

HOUR = 3600
BOUNDS = {
    "mlp": "{accuracy: {min: 0.0, min_count: 1}, calibration_error: {max: 1.0, min_count: 1}}",
    "music": "{bits_per_char: {max: 20.0, min_count: 1}, valid_sample_rate: {min: 0.0, min_count: 1}, "
    "worst_request_rate: {min: 0.0, min_count: 1}}",
}
"""Bounds that any model passes. Faces keep their own, which a model of a small slice does not reach."""


@dataclass(frozen=True)
class Submitted:
    """What `submit` did. said: on standard error."""

    run_id: str
    code: int
    said: str


def pipelines(*arguments: str, seconds: float = HOUR) -> subprocess.CompletedProcess[str]:
    """The command line as a user calls it."""
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments],
        cwd=PROJECT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


def assignments(namespace: str, lab: str) -> list[str]:
    """A small run of a lab, whose tasks reach the MLflow of a namespace and fit beside it on two CPUs."""
    variables = {
        "MLFLOW_TRACKING_URI": f"http://tracking.{namespace}.svc:5000",
        "OMP_NUM_THREADS": "1",
        **({"DATA_REMOTE": options.DATA_REMOTE} if options.DATA_REMOTE else {}),
    }
    words = ", ".join(f"{name}: '{value}'" for name, value in variables.items())
    login = "{username: MLFLOW_TRACKING_USERNAME, password: MLFLOW_TRACKING_PASSWORD}"
    values = [
        *options.small(lab),
        f"pipelines.image={options.TRAINING_IMAGE}",
        f"pipelines.environment={{{words}}}",
        f"pipelines.secrets=[{{name: {SECRET}, variables: {login}}}]",
        f"pipelines.signing={{secret: {KEY}, public_keys: {KEYS}}}",
        "pipelines.default={cpu: 100m, memory: 2Gi, minutes: 60, retries: 0}",
        "pipelines.tasks={}",
        "pipelines.parallel=1",
    ]
    if lab in BOUNDS:
        values += [f"{lab}.gate.metrics={BOUNDS[lab]}", f"{lab}.gate.profile=null"]
    return values


def submit(platform: Platform, lab: str, *more: str, command: str = "submit") -> Submitted:
    """more: assignments, and after them options, which begin with two hyphens."""
    cut = next((index for index, word in enumerate(more) if word.startswith("--")), len(more))
    chosen = [word for value in (*assignments(platform.namespace, lab), *more[:cut]) for word in ("-S", value)]
    store = ["--pipeline-root", options.STORE] if options.STORE else []
    done = pipelines(command, lab, *chosen, *store, *more[cut:])
    address = done.stdout.strip().splitlines()[-1:] or [""]
    return Submitted(address[0].rpartition("/")[2], done.returncode, done.stderr)


@cache
def finished(platform: Platform, lab: str, *more: str) -> Submitted:
    """A run of a lab that was waited for; made once for the whole suite."""
    return submit(platform, lab, *more, "--wait")


def steps_of(kubeflow: Kubeflow, run_id: str) -> dict[str, Step]:
    """The product's steps of a run, by name; of several trainings, the last."""
    return {step.name: step for step in steps(find_run(kubeflow, run_id)).values()}


def parent_run(mlflow: MlflowClient, run_id: str) -> Run:
    """MLflow's run of a pipeline's run."""
    everywhere = [experiment.experiment_id for experiment in mlflow.search_experiments()]
    (found,) = mlflow.search_runs(everywhere, f"tags.journal = '{run_id}'")
    return found

"""Part 2: pipelines on a real Kubeflow, from `submit` to a closed run in MLflow."""

from __future__ import annotations

import pytest

from components.labs import find
from components.tracking.registry import champion_version
from pipelines.connection import Kubeflow
from pipelines.resources import UNCACHED
from tests.cluster import options
from tests.cluster.conftest import Platform, until
from tests.cluster.runs import finished, parent_run, pipelines, steps_of, submit

pytestmark = pytest.mark.cluster
PROMOTED = ("mlp", "music")
"""Labs whose bounds any model passes here; those of faces stay."""


@pytest.mark.parametrize("lab", [*PROMOTED, "faces"])
def test_a_run_succeeds_is_decided_and_is_closed_in_mlflow(lab: str, platform: Platform, kubeflow: Kubeflow) -> None:
    run = finished(platform, lab)
    assert run.code == 0, run.said
    ran = steps_of(kubeflow, run.run_id)
    wanted = ["open-run", "data", "prepare", "validate", "train", "export", "evaluate", "gate", "close-run"]
    wanted += ["audit"] if find(lab).audited else []
    assert {name: ran[name].state for name in wanted} == dict.fromkeys(wanted, "SUCCEEDED")
    assert ("promote" in ran) is (lab in PROMOTED)
    assert (champion_version(platform.mlflow, lab) is not None) is (lab in PROMOTED)
    assert parent_run(platform.mlflow, run.run_id).info.status == "FINISHED"
    for insides in ("executor", "-driver", "onExit"):
        assert insides not in run.said
    assert len(run.said.splitlines()) == len(set(run.said.splitlines())), "nothing is said twice"


def test_the_second_run_of_a_lab_is_judged_against_its_champion(platform: Platform, kubeflow: Kubeflow) -> None:
    assert finished(platform, "mlp").code == 0
    run = finished(platform, "mlp", "mlp.train.seed=2")
    assert run.code == 0, run.said
    assert steps_of(kubeflow, run.run_id)["gate"].state == "SUCCEEDED"


def test_the_same_run_comes_from_the_cache(platform: Platform, kubeflow: Kubeflow) -> None:
    if not options.PINNED:
        pytest.skip("NO PINNED IMAGE: CLUSTER_TRAINING_IMAGE has no digest, the cache was not tried")
    assert finished(platform, "mlp").code == 0
    again = submit(platform, "mlp", "--wait")
    assert again.code == 0, again.said
    ran = steps_of(kubeflow, again.run_id)
    effects = {name.replace("_", "-") for name in UNCACHED}
    assert {name for name, step in ran.items() if not step.cached} <= effects
    assert ran["train"].cached


def test_a_sweep_goes_on_with_one_of_its_trainings(platform: Platform, kubeflow: Kubeflow) -> None:
    run = submit(platform, "mlp", "--sweep", "learning_rate=[0.05, 0.1]", "--wait")
    assert run.code == 0, run.said
    ran = steps_of(kubeflow, run.run_id)
    assert (ran["choose"].state, ran["gate"].state) == ("SUCCEEDED", "SUCCEEDED")


def test_a_schedule_is_made_replaced_and_removed(platform: Platform, kubeflow: Kubeflow) -> None:
    if not options.PINNED:
        pytest.skip("NO PINNED IMAGE: CLUSTER_TRAINING_IMAGE has no digest, a schedule is refused without")
    pin = ("--pin", "https://git.example/data.dvc", "--cron", "0 0 1 1 *", "--experiment", "acceptance")
    first, second = (submit(platform, "mlp", *pin, command="schedule") for _ in range(2))
    assert (first.code, second.code) == (0, 0), first.said + second.said
    client = kubeflow.client
    experiment = client.get_experiment(experiment_name="acceptance", namespace=kubeflow.namespace or None)
    listed = client.list_recurring_runs(experiment_id=experiment.experiment_id, page_size=100).recurring_runs or []
    found = {one.recurring_run_id for one in listed}
    client.delete_recurring_run(second.run_id)
    assert (first.run_id in found, second.run_id in found) == (False, True)


def test_a_run_that_fails_says_why_and_is_closed(platform: Platform, kubeflow: Kubeflow) -> None:
    """With this learning rate training diverges."""
    run = submit(platform, "mlp", "mlp.train.learning_rate=1.0e+30", "--wait")
    assert run.code == 1, run.said
    assert "train failed: " in run.said
    assert "error: " in run.said.split("train failed: ")[1], "the last lines of the log are shown"
    assert steps_of(kubeflow, run.run_id)["close-run"].state == "SUCCEEDED"
    assert parent_run(platform.mlflow, run.run_id).info.status == "FAILED"


def test_a_run_that_is_cancelled_is_closed_too(platform: Platform, kubeflow: Kubeflow) -> None:
    run = submit(platform, "mlp", "mlp.train.max_epochs=100000", "mlp.train.patience=100000")
    assert run.code == 0, run.said
    for _ in until(1800, "training begins"):
        step = steps_of(kubeflow, run.run_id).get("train")
        if step is not None and step.state == "RUNNING":
            break
    assert pipelines("cancel", run.run_id).returncode == 0
    done = pipelines("follow", run.run_id)
    assert (done.returncode, "CANCELED" in done.stderr) == (1, True), done.stderr
    for _ in until(600, "MLflow's run is closed"):
        status = parent_run(platform.mlflow, run.run_id).info.status
        if status != "RUNNING":
            break
    assert status == "KILLED"


def test_what_kubeflow_would_ignore_is_said(platform: Platform, kubeflow: Kubeflow) -> None:
    if kubeflow.namespace:
        pytest.skip("KUBEFLOW HAS USERS: it heeds namespaces")
    done = pipelines("list", "--namespace", "nosuch")
    assert "ignores the namespace 'nosuch'" in done.stderr

"""Part 4: one training on two machines, by a TrainJob of Kubeflow Trainer."""

from __future__ import annotations

import pytest

from pipelines.connection import Kubeflow
from tests.cluster import options
from tests.cluster.conftest import Platform, trainer_installed
from tests.cluster.runs import steps_of, submit

pytestmark = pytest.mark.cluster


def test_two_machines_train_together(platform: Platform, kubeflow: Kubeflow) -> None:
    if not trainer_installed():
        pytest.skip("NO KUBEFLOW TRAINER: several machines were not tried")
    if not options.CLAIM:
        pytest.skip("NO SHARED CLAIM: CLUSTER_CLAIM is not set, several machines were not tried")
    run = submit(platform, "digits", "pipelines.nodes=2", f"pipelines.distributed.claim={options.CLAIM}", "--wait")
    assert run.code == 0, run.said
    assert steps_of(kubeflow, run.run_id)["train-together"].state == "SUCCEEDED"

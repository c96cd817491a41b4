"""A run as its user sees it, played from the nodes that a real Kubeflow lists, over real HTTP."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from components.errors import UserError
from pipelines import connection, progress
from pipelines.connection import Connection
from tests.pipelines.argo import Workflow
from tests.pipelines.kubeflow import Kubeflow, Look, kubeflow

RUN = "6f1c"


@pytest.fixture
def cluster() -> Iterator[Kubeflow]:
    with kubeflow(multi_user=False) as state:
        yield state


def lines(state: Kubeflow, caplog: pytest.LogCaptureFixture, *answers: Look) -> list[str]:
    """What is shown of a run that answers so, and last how it ended."""
    import kfp_server_api as api

    state.answers = list(answers)
    state.runs = [api.V2beta1Run(run_id=RUN)]
    caplog.set_level(logging.INFO)
    ended = progress.follow(Connection(host=state.host).open(), RUN, 0.01)
    return [*(record.getMessage() for record in caplog.records), ended]


def prepared() -> Workflow:
    return Workflow().step("open-run").step("data", "Cached").step("prepare", "Cached")


def test_each_step_is_told_once_with_its_time_or_that_it_came_from_the_cache(
    cluster: Kubeflow, caplog: pytest.LogCaptureFixture
) -> None:
    said = lines(
        cluster,
        caplog,
        Look("RUNNING", Workflow().step("open-run", "Running")),
        Look("RUNNING", Workflow().step("open-run", "Running")),
        Look("RUNNING", prepared().step("train", "Running")),
        Look("SUCCEEDED", prepared().step("train", seconds=64).closed()),
    )
    assert said == [
        "open-run: runs",
        "open-run: 20 s",
        "data: from the cache",
        "prepare: from the cache",
        "train: runs",
        "train: 1 min 4 s",
        "close-run: 8 s",
        "SUCCEEDED",
    ]


def test_a_failed_step_is_told_with_its_reason_and_the_last_lines_of_its_log(
    cluster: Kubeflow, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = prepared().step("train", "Failed", 40, message="OOMKilled (exit code 137)").closed()
    cluster.logs[workflow.pod("train.executor(0)")] = "\n".join(f"line {number}" for number in range(50)) + "\n\n"
    said = lines(cluster, caplog, Look("FAILED", workflow))
    assert "train: FAILED after 40 s" in said
    told = said[-2].splitlines()
    assert told[0] == "train failed: OOMKilled (exit code 137)"
    assert told[-1] == "  line 49"
    assert len(told) == 1 + progress.LOG_LINES


def test_a_driver_that_fails_is_told_as_its_step(cluster: Kubeflow, caplog: pytest.LogCaptureFixture) -> None:
    workflow = prepared().step("gate", "Driver", message="main: Error (exit code 1)").closed()
    words = "failed to lookup existing execution: no execution found"
    cluster.logs[workflow.pod("gate-driver", "system-container-driver")] = words
    said = lines(cluster, caplog, Look("FAILED", workflow))
    assert "gate: FAILED after 10 s" in said
    assert said[-2] == f"gate failed: main: Error (exit code 1)\n  {words}"


def test_a_step_that_succeeded_at_its_second_attempt_has_not_failed(
    cluster: Kubeflow, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = (
        prepared().step("train", seconds=30, failed_attempts=1).step("export", "Failed", message="Error (exit 1)")
    )
    said = lines(cluster, caplog, Look("FAILED", workflow))
    assert "train: 1 min 0 s, 2 attempts" in said
    assert [line.split(":")[0] for line in said if "failed" in line] == ["export failed"]


def test_a_log_that_is_gone_is_said_with_where_it_may_be(cluster: Kubeflow, caplog: pytest.LogCaptureFixture) -> None:
    workflow = prepared().step("train", "Failed", message="Error (exit code 2)", retried=False)
    said = lines(cluster, caplog, Look("FAILED", workflow))
    pod = workflow.pod("train.executor", "system-container-impl")
    assert f"`kubectl -n kubeflow logs {pod} -c main`" in said[-2]


def test_a_kubeflow_without_its_older_api_still_names_the_step(
    cluster: Kubeflow, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.old_api = False
    said = lines(cluster, caplog, Look("FAILED", prepared().step("train", "Failed", message="Error (exit code 2)")))
    assert said[-2] == "train failed: Kubeflow does not say why"


def test_a_pod_that_cannot_start_is_told_with_what_it_waits_for(
    cluster: Kubeflow, caplog: pytest.LogCaptureFixture
) -> None:
    reason = "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu."
    waiting = Workflow().step("open-run", "Pending", message=reason)
    said = lines(cluster, caplog, Look("RUNNING", waiting), Look("SUCCEEDED", Workflow().step("open-run")))
    assert said[0] == f"open-run: waits for its pod ({reason})"


def test_a_run_that_was_cancelled_is_not_told_as_one_that_failed(
    cluster: Kubeflow, caplog: pytest.LogCaptureFixture
) -> None:
    """Kubeflow ends it as FAILED: its history has the word, unless its end was reported first; then its Workflow."""
    workflow = prepared().step("train", "Failed", message="Step exceeded its deadline").closed()
    history = ("PENDING", "RUNNING", "CANCELING", "FAILED")
    assert lines(cluster, caplog, Look("FAILED", workflow, history))[-1] == "CANCELED"
    assert lines(cluster, caplog, Look("FAILED", workflow, ("RUNNING", "FAILED")))[-1] == "FAILED"
    workflow.stopped = True
    assert lines(cluster, caplog, Look("FAILED", workflow, ("RUNNING", "FAILED")))[-1] == "CANCELED"


def test_trainings_of_a_sweep_are_told_each(cluster: Kubeflow, caplog: pytest.LogCaptureFixture) -> None:
    workflow = prepared()
    for number in range(2):
        workflow.step(
            "train", seconds=30 + number, group=f"root.exit-handler-1.for-loop-1.iteration({number}:{number})"
        )
    said = lines(cluster, caplog, Look("SUCCEEDED", workflow))
    assert [line for line in said if line.startswith("train")] == ["train: 30 s", "train: 31 s"]


def test_a_page_server_whose_api_server_is_silent_is_waited_for(
    cluster: Kubeflow, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer then does not say that there are users: the namespace would be left out."""
    monkeypatch.setattr(connection, "READY_PAUSE", 0.0)
    caplog.set_level(logging.INFO)
    cluster.silent = 3
    Connection(host=cluster.host).open()
    assert [record.getMessage() for record in caplog.records if "not yet" in record.getMessage()] != []
    cluster.silent = 1000
    with pytest.raises(UserError, match="its page server does not reach its API server"):
        Connection(host=cluster.host).open()

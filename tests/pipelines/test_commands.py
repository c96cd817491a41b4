"""What a person does with runs that are on a cluster already: follow, cancel, list; over real HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import kfp_server_api as api
import pytest

from tests.pipelines.argo import BEGUN, Workflow
from tests.pipelines.command_line import PROJECT, pipelines
from tests.pipelines.kubeflow import NAMESPACE, TOKEN, Kubeflow, Look, kubeflow

RUNS = ("6f1c0000-0000", "7a2d0000-0000")


@pytest.fixture
def cluster() -> Iterator[Kubeflow]:
    with kubeflow(multi_user=False) as state:
        state.runs = [
            api.V2beta1Run(run_id=run, display_name=f"digits {number}", state="RUNNING", created_at=BEGUN)
            for number, run in enumerate(RUNS)
        ]
        yield state


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pipelines", *arguments]


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT), "KUBEFLOW_TOKEN": TOKEN, **variables}


def test_a_run_is_followed_by_its_address_and_its_failure_is_the_exit_code(cluster: Kubeflow) -> None:
    workflow = Workflow().step("train", "Failed", message="Error (exit code 2)")
    cluster.logs[workflow.pod("train.executor(0)")] = "error: nan\n"
    cluster.answers = [Look("FAILED", workflow)]
    done = pipelines("follow", f"{cluster.host}/#/runs/details/{RUNS[0]}", "--host", cluster.host, "--poll", "0.1")
    assert done.returncode == 1
    assert "train failed: Error (exit code 2)\n  error: nan\n" in done.stderr
    assert done.stderr.splitlines()[-1] == f"INFO the run {RUNS[0]}: FAILED"
    assert "executor" not in done.stderr


def test_ctrl_c_leaves_the_run_alone_and_says_how_to_come_back(cluster: Kubeflow) -> None:
    cluster.answers = [Look("RUNNING", Workflow().step("train", "Running"))]
    following = subprocess.Popen(
        command("follow", RUNS[0], "--host", cluster.host, "--poll", "0.1"),
        cwd=PROJECT,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore the signal, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while cluster.looks < 3:
        assert following.poll() is None
        time.sleep(0.05)
    following.send_signal(signal.SIGINT)
    said = following.communicate(timeout=600)[1]
    assert following.returncode == 130
    assert "Traceback" not in said
    assert f"python -m pipelines follow {RUNS[0]}" in said
    assert f"python -m pipelines cancel {RUNS[0]}" in said
    assert cluster.terminated == []


def test_a_run_is_cancelled_and_one_that_has_ended_is_not(cluster: Kubeflow) -> None:
    cluster.answers = [Look("RUNNING")]
    done = pipelines("cancel", RUNS[0], "--host", cluster.host)
    assert done.returncode == 0, done.stderr
    assert cluster.terminated == [RUNS[0]]
    cluster.answers = [Look("SUCCEEDED")]
    done = pipelines("cancel", RUNS[0], "--host", cluster.host)
    assert (done.returncode, done.stderr.strip()) == (2, f"error: the run {RUNS[0]} has ended already: SUCCEEDED")
    done = pipelines("cancel", "nosuch", "--host", cluster.host)
    assert (done.returncode, "Run nosuch not found" in done.stderr, done.stderr.count("\n")) == (2, True, 1)


def test_the_last_runs_are_listed_newest_first(cluster: Kubeflow) -> None:
    done = pipelines("list", "--host", cluster.host, "--count", "5")
    rows = done.stdout.splitlines()
    assert [row.split()[0] for row in rows] == [*RUNS[::-1]], done.stderr
    assert rows[0].split()[1:] == ["RUNNING", "2026-11-29", "08:00", "digits", "1"]


def test_a_namespace_that_a_kubeflow_without_users_ignores_is_said(cluster: Kubeflow) -> None:
    done = pipelines("list", "--host", cluster.host, "--namespace", "nosuch")
    assert done.returncode == 0
    assert "has no users and ignores the namespace 'nosuch'" in done.stderr
    with kubeflow(multi_user=True) as state:
        done = pipelines("list", "--host", state.host, "--namespace", NAMESPACE)
    assert (done.returncode, done.stderr) == (0, "")

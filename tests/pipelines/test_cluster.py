"""The way to a cluster, over real HTTP: what is sent, what is followed, and how each failure reads."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from components.config import read
from tests.pipelines import command_line
from tests.pipelines.argo import Workflow
from tests.pipelines.kubeflow import NAMESPACE, TOKEN, Kubeflow, Look, kubeflow

PROJECT = Path(__file__).resolve().parents[2]
DIGEST = "pipelines.image=registry.example/labs@sha256:" + "0" * 64
COURSE = ("-S", "datasets.digits.profile=course")


@pytest.fixture
def cluster() -> Iterator[Kubeflow]:
    with kubeflow() as state:
        yield state


def pipelines(*arguments: str, token: str = TOKEN, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = command_line.pipelines(*arguments, token=token)
    assert not check or done.returncode == 0, done.stderr
    return done


def submit(
    state: Kubeflow, *arguments: str, token: str = TOKEN, check: bool = True
) -> subprocess.CompletedProcess[str]:
    where = ("--host", state.host, "--namespace", NAMESPACE)
    return pipelines("submit", "mlp", *where, *COURSE, *arguments, token=token, check=check)


def test_a_run_is_started_with_every_number_and_its_address_is_printed(cluster: Kubeflow) -> None:
    """As a user starts it, in a process of its own."""
    where = ("--host", cluster.host, "--namespace", NAMESPACE, *COURSE)
    options = ("-S", "mlp.train.hidden_sizes=[64, 32]", "--experiment", "trial", "--pipeline-root", "s3://b/p")
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "submit", "mlp", *where, *options],
        cwd=PROJECT,
        env={**os.environ, "KUBEFLOW_TOKEN": TOKEN, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (run,) = cluster.runs
    assert done.stdout.strip() == f"{cluster.host}/#/runs/details/{run.run_id}"
    sent = run.runtime_config.parameters
    assert sent["train"]["hidden_sizes"] == [64, 32]
    assert sent["gate"]["metrics"]["accuracy"]["min_count"] == 10000
    assert sent["data_version"] in (PROJECT / "data.dvc").read_text()
    assert run.runtime_config.pipeline_root == "s3://b/p"
    (experiment,) = cluster.experiments
    assert (experiment.display_name, experiment.namespace) == ("trial", NAMESPACE)
    assert run.experiment_id == experiment.experiment_id
    assert cluster.versions[-1].pipeline_spec["pipeline_spec"]["pipelineInfo"]["name"] == "mlp"
    assert "every step runs, none from the cache" in done.stderr


def test_the_same_pipeline_is_uploaded_once_and_a_changed_one_becomes_its_next_version(cluster: Kubeflow) -> None:
    submit(cluster)
    uploaded = len(cluster.versions)
    submit(cluster, "-S", "mlp.train.seed=2")
    assert [len(cluster.pipelines), len(cluster.versions), len(cluster.runs)] == [1, uploaded + 1, 2]
    assert cluster.runs[0].pipeline_version_reference != cluster.runs[1].pipeline_version_reference
    submit(cluster, "-S", "mlp.train.seed=2")
    assert [len(cluster.pipelines), len(cluster.versions), len(cluster.runs)] == [1, uploaded + 1, 3]
    assert cluster.runs[1].pipeline_version_reference == cluster.runs[2].pipeline_version_reference


def test_waiting_tells_each_step_and_ends_with_the_run(cluster: Kubeflow) -> None:
    begun = Workflow().step("prepare", "Cached").step("train", "Running")
    cluster.answers = [Look("RUNNING", begun), Look("SUCCEEDED", Workflow().step("prepare", "Cached").step("train"))]
    told = submit(cluster, "--wait", "--poll", "0.1").stderr
    assert told.index("prepare: from the cache") < told.index("train: runs") < told.index("train: 20 s")
    assert told.splitlines()[-1].endswith(": SUCCEEDED")
    cluster.answers = [Look("FAILED", Workflow().step("train", "Failed", message="Error (exit code 2)"))]
    done = submit(cluster, "--wait", "--poll", "0.1", check=False)
    assert done.returncode == 1
    assert "train failed: Error (exit code 2)" in done.stderr


def test_a_sweep_sends_every_combination(cluster: Kubeflow) -> None:
    submit(cluster, "--sweep", "learning_rate=[0.05, 0.1]", "--sweep", "seed=[1, 2, 3]")
    sent = cluster.runs[0].runtime_config.parameters["candidates"]
    assert [(some["learning_rate"], some["seed"]) for some in sent] == [
        (rate, seed) for rate in (0.05, 0.1) for seed in (1, 2, 3)
    ]
    assert cluster.pipelines[0].display_name == "mlp-sweep"


def test_trials_are_drawn_from_the_labs_ranges_after_the_values_of_params_yaml(cluster: Kubeflow) -> None:
    submit(cluster, "--trials", "4")
    submit(cluster, "--trials", "4")
    sent, again = (run.runtime_config.parameters["candidates"] for run in cluster.runs)
    block = read(PROJECT / "params.yaml")["mlp"]
    assert sent[0] == block["train"]
    assert len({json.dumps(some) for some in sent}) == 4
    assert sent == again
    varied = {name for some in sent for name in some if some[name] != block["train"][name]}
    assert varied <= set(block["search"]["ranges"])
    refused = submit(cluster, "--trials", "4", "--sweep", "seed=[1, 2]", check=False)
    assert (refused.returncode, refused.stderr) == (2, "error: give either --sweep or --trials\n")


def test_a_schedule_follows_a_pin_and_takes_the_place_of_the_one_before(cluster: Kubeflow) -> None:
    where = ("--host", cluster.host, "--namespace", NAMESPACE, "-S", DIGEST, *COURSE)
    pin = "https://git.example/labs/raw/main/data.dvc"
    pipelines("schedule", "mlp", *where, "--pin", pin)
    done = pipelines("schedule", "mlp", *where, "--pin", pin, "--cron", "0 30 4 * * 1")
    (recurring,) = cluster.recurring
    assert recurring.trigger.cron_schedule.cron == "0 30 4 * * 1"
    assert recurring.runtime_config.parameters["data_version"] == pin
    assert (recurring.max_concurrency, recurring.no_catchup, recurring.mode) == ("1", True, "ENABLE")
    assert recurring.recurring_run_id in done.stdout


def test_a_schedule_that_would_train_at_every_tick_is_refused(cluster: Kubeflow) -> None:
    where = ("--host", cluster.host, "--namespace", NAMESPACE)
    done = pipelines("schedule", "mlp", *where, "--pin", "https://git.example/data.dvc", check=False)
    assert (done.returncode, "pin it" in one_line(done)) == (2, True)
    done = pipelines("schedule", "mlp", *where, "-S", DIGEST, check=False)
    assert (done.returncode, "pipelines.pin is empty" in one_line(done)) == (2, True)
    done = pipelines("schedule", "mlp", *where, "-S", DIGEST, "--pin", "x", "--cron", "daily", check=False)
    assert (done.returncode, "--cron is 'daily'" in one_line(done)) == (2, True)
    assert cluster.requests == []


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The error, known to be all that was said of it."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("WARNING pipelines.image")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: "), done.stderr
    return lines[0]


def test_a_wrong_token_is_one_line(cluster: Kubeflow) -> None:
    done = submit(cluster, token="another", check=False)
    assert done.returncode == 2
    assert "wants a valid token (401): set KUBEFLOW_TOKEN" in one_line(done)
    assert len(cluster.requests) == 1, "one question is enough to know"


def test_an_unknown_namespace_is_one_line_and_nothing_is_uploaded(cluster: Kubeflow) -> None:
    done = pipelines("submit", "mlp", "--host", cluster.host, "--namespace", "elsewhere", check=False)
    assert done.returncode == 2
    assert "the namespace 'elsewhere' is not there, or not yours (403)" in one_line(done)
    assert cluster.pipelines == []
    done = pipelines("submit", "mlp", "--host", cluster.host, check=False)
    assert (done.returncode, "name yours with --namespace" in one_line(done)) == (2, True)


def test_a_plain_installation_needs_neither_token_nor_namespace() -> None:
    with kubeflow(multi_user=False) as state:
        pipelines("submit", "mlp", "--host", state.host, token="")
        assert len(state.runs) == 1


def test_nobody_there_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        host = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = pipelines("submit", "mlp", "--host", host, check=False)
    assert done.returncode == 2
    assert f"Kubeflow at {host} can't be reached" in one_line(done)


def test_a_page_that_wants_a_login_is_told_from_kubeflow() -> None:
    class Login(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Log in</title>")

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Login)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        done = pipelines("submit", "mlp", "--host", f"http://127.0.0.1:{server.server_port}", check=False)
    finally:
        server.shutdown()
        server.server_close()
    assert (done.returncode, "answers with a page" in one_line(done)) == (2, True)


def test_a_wrong_parameter_is_found_before_anything_is_sent(cluster: Kubeflow) -> None:
    done = submit(cluster, "-S", "mlp.train.hiden_sizes=[1]", check=False)
    assert done.returncode == 2
    assert "unknown parameter mlp.train.hiden_sizes; did you mean 'hidden_sizes'?" in one_line(done)
    assert cluster.requests == []


def test_the_message_is_the_same_as_that_of_the_steps(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(
        (PROJECT / "params.yaml").read_text().replace("hidden_sizes: [256]", "hiden: 1")
    )
    command = [sys.executable, "-m", "components", "train", "mlp", "--params", "params.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    step = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    ours = pipelines("submit", "mlp", "-S", "mlp.train.hiden=1", check=False)
    assert one_line(ours) == step.stderr.strip()


def test_help_says_what_each_command_takes() -> None:
    told = pipelines("--help").stdout
    assert all(command in told for command in ("compile", "run", "submit", "schedule"))
    assert json.dumps(pipelines("submit", "--help").stdout).count("--") > 8

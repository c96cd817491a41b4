"""Part 3: models are rolled out and back while eight clients ask, and every request is answered."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from mlflow.server import get_app_client

from infra.deploy import champion_digest
from pipelines.connection import Kubeflow
from tests.cluster import options
from tests.cluster.conftest import Platform, environment, until
from tests.cluster.kubectl import apply, found, kubectl
from tests.cluster.overlay import READER
from tests.cluster.runs import finished
from tests.workspace import PROJECT

pytestmark = pytest.mark.cluster
CLIENTS = 8
CLIENT = """
import collections, json, pathlib, threading, time, urllib.error, urllib.request

address, counts, lock = "http://music-api.{namespace}.svc/{path}", collections.Counter(), threading.Lock()

def ask():
    while not pathlib.Path("/tmp/stop").exists():
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                said = str(answer.status)
                answer.read()
        except urllib.error.HTTPError as error:
            said = str(error.code)
        except OSError as error:
            said = type(error).__name__ + ": " + str(error)
        with lock:
            counts[said] += 1
        time.sleep(0.1)

threads = [threading.Thread(target=ask) for _ in range({clients})]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps(counts), flush=True)
time.sleep(3600)
"""
"""Runs in the image `fetch`. It stops asking when it finds a file, and then says how often it got which answer."""


@dataclass(frozen=True)
class Models:
    """Digests of two promoted models of music."""

    first: str
    second: str


@pytest.fixture(scope="module")
def models(platform: Platform, kubeflow: Kubeflow) -> Models:
    digests = []
    for seed in (1, 2):
        run = finished(platform, "music", *([f"music.train.seed={seed}"] if seed > 1 else []))
        assert run.code == 0, run.said
        digests.append(champion_digest("music"))
    assert digests[0] != digests[1], "the second run promoted its own model"
    _let_the_reader_in(platform)
    return Models(*digests)


def test_eight_clients_are_all_answered_while_models_come_and_go(
    platform: Platform, models: Models, clients_namespace: str
) -> None:
    assert deploy(platform, "--digest", models.first).returncode == 0
    with clients(platform, clients_namespace) as counts:
        forth = deploy(platform)
        assert forth.returncode == 0, forth.stderr
        assert served(platform) == models.second
        back = deploy(platform, "--back")
        assert back.returncode == 0, back.stderr
        assert served(platform) == models.first
        nowhere = deploy(platform, "--digest", "0" * 64, "--seconds", "120")
        assert nowhere.returncode == 2, nowhere.stderr
        assert "went back to" in nowhere.stderr
        assert served(platform) == models.first
        again = deploy(platform, "--back")
        assert again.returncode == 0, again.stderr
        assert served(platform) == models.second, "back is the model before, not the one that never served"
    assert counts.keys() == {"200"}, counts
    assert counts["200"] > CLIENTS


def deploy(platform: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.deploy", "music", "--namespace", platform.namespace, *arguments]
    return subprocess.run(
        command, cwd=PROJECT, env=environment(), capture_output=True, text=True, check=False, timeout=1800
    )


def served(platform: Platform) -> str:
    deployment = found("deployment", "music-api", f"--namespace={platform.namespace}")
    return str(deployment["spec"]["template"]["metadata"]["annotations"]["labs/model-digest"])


@contextmanager
def clients(platform: Platform, name: str) -> Iterator[dict[str, int]]:
    """Eight clients in a pod; the answers that they got, by status, are there after the block."""
    counts: dict[str, int] = {}
    script = CLIENT.replace("{namespace}", platform.namespace).replace("{path}", "info")
    apply([_pod(name, script.replace("{clients}", str(CLIENTS)))])
    kubectl("wait", f"--namespace={name}", "pod/clients", "--for=condition=ready", "--timeout=300s", seconds=360)
    time.sleep(5)
    yield counts
    kubectl("exec", f"--namespace={name}", "clients", "--", "touch", "/tmp/stop")  # noqa: S108 - the pod's
    for _ in until(120, "the clients have said what they got"):
        if lines := kubectl("logs", f"--namespace={name}", "clients").strip():
            counts.update(json.loads(lines.splitlines()[-1]))
            break


def _pod(name: str, script: str) -> dict[str, Any]:
    container = {
        "name": "clients",
        "image": options.IMAGES.format("fetch"),
        "command": ["python", "-c", script],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "clients", "namespace": name},
        "spec": {"containers": [container], "restartPolicy": "Never", "automountServiceAccountToken": False},
    }


def _let_the_reader_in(platform: Platform) -> None:
    """The user of the containers that fetch models, as docs/kubernetes.md makes it."""
    mlflow = platform.mlflow
    run_id = mlflow.get_model_version_by_alias("music", "champion").run_id
    assert run_id
    users = get_app_client("basic-auth", platform.tracking)
    users.create_user(READER, platform.passwords.reader)
    users.grant_user_permission(READER, "registered_model", "music", "READ")
    users.grant_user_permission(READER, "experiment", mlflow.get_run(run_id).info.experiment_id, "READ")

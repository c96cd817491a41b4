"""The remote half over the network: MLflow on PostgreSQL with users, artifacts and DVC's remote in S3, an API."""

from __future__ import annotations

import base64
import math
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from components.bundle import Bundle
from components.config import Bound, Gate
from components.errors import UserError
from components.files import read_json
from components.labs import find
from components.params import load
from components.settings import project_root, settings
from components.steps.gate import gate
from components.steps.promote import Folders, promote
from components.tracking.journal import Run
from components.tracking.registry import fetch_digest
from infra.docker.tracking import SECRETS, problems
from infra.stack import BUCKET, TRACKING, Stack, stack
from tests.serving.servers import serving

PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.fixture
def client(running: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """An empty current folder whose commands speak to the stack."""
    monkeypatch.chdir(tmp_path)
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "600")  # its one worker shares a busy machine with us
    settings.cache_clear()
    yield running
    settings.cache_clear()


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(PROJECT), "DVC_NO_ANALYTICS": "1", **environment}
    return subprocess.run(
        [sys.executable, *arguments], env=variables, capture_output=True, text=True, check=False, timeout=1200
    )


def test_a_model_promoted_over_the_network_is_served_and_fetched_by_its_digest(
    client: Stack, promoted_bundle: Path, tmp_path: Path
) -> None:
    digest = Bundle.open(promoted_bundle).digest
    _promote(promoted_bundle)

    folder = Path("mounted") / "model"
    done = python("-m", "components", "download", "music", "--digest", digest, "--into", str(folder))
    assert done.returncode == 0, done.stderr
    assert Bundle.open(folder).digest == digest
    assert read_json(folder / "promotion.json")["promoted"] is True

    with serving("music", "models:/music@champion", tmp_path) as server:
        answer = server.client.get("/info").json()
    assert answer["model"]["model_digest"] == digest
    assert answer["model"]["promoted"] is True


RECORDED = """
import sys
from pathlib import Path
from components.tracking.runs import close_parent, open_parent, tracked

open_parent("a pipeline", {"lab": "music"}, {"gate": {"bound": 1.5}})
with tracked("music", "gate", {"bound": 1.5}, {"lab": "music"}, ("course", "0" * 32)) as run:
    run.log_metrics({"bits_per_char": 1.25, "broken": float("nan")}, 3)
    for name in ("decision.json", "a page.html"):
        Path(name).write_text("{}")
        run.log_artifact(Path(name))
    folder = Path("plots")
    folder.mkdir()
    (folder / "curve.csv").write_text("x")
    run.log_artifact(folder)
(step,), status = close_parent(lambda steps: "FINISHED", ("decision.json", "promotion.json"))
print(step.step, step.status, step.metrics["bits_per_char"], step.artifacts, status, "mlflow" in sys.modules)
"""
"""What a task of a pipeline does of tracking, in a process of its own."""


def test_a_task_is_recorded_whole_without_importing_mlflow(client: Stack) -> None:
    """Importing it takes as long as a small step; what MLflow's own client then reads is what it would have written."""
    from mlflow import MlflowClient

    done = python("-c", RECORDED, REPRO_RUN="e" * 32)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "gate FINISHED 1.25 {'decision.json': '{}'} FINISHED False"
    mlflow = MlflowClient()
    experiment = mlflow.get_experiment_by_name("labs")
    assert experiment is not None
    (parent,) = mlflow.search_runs([experiment.experiment_id], f"tags.journal = '{'e' * 32}'")
    (run,) = mlflow.search_runs([experiment.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert (parent.info.run_name, parent.data.params, parent.info.status) == (
        "a pipeline",
        {"gate.bound": "1.5"},
        "FINISHED",
    )
    assert (run.info.run_name, run.data.params, run.info.status) == ("music gate", {"bound": "1.5"}, "FINISHED")
    (metric,) = mlflow.get_metric_history(run.info.run_id, "bits_per_char")
    assert (metric.value, metric.step) == (1.25, 3)
    assert math.isnan(run.data.metrics["broken"])
    assert {file.path for file in mlflow.list_artifacts(run.info.run_id)} == {"decision.json", "a page.html", "plots"}
    assert [file.path for file in mlflow.list_artifacts(run.info.run_id, "plots")] == ["plots/curve.csv"]
    assert run.inputs is not None
    (given,) = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest, given.tags[0].value) == ("course", "0" * 32, "input")


def test_a_wrong_password_is_one_line_for_a_task(client: Stack) -> None:
    done = python("-c", RECORDED, REPRO_RUN="f" * 32, MLFLOW_TRACKING_PASSWORD="wrong")
    assert "MlflowError" in done.stderr.splitlines()[-1]
    assert "401" in done.stderr.splitlines()[-1]


def _promote(folder: Path) -> None:
    """Registers a bundle through the step, as `python -m components promote` does."""
    bundle = Bundle.open(folder)
    shutil.copytree(folder, "export", ignore=shutil.ignore_patterns(*RECORDS))
    Path("evaluate").mkdir()
    shutil.copy(folder / "evaluation.json", "evaluate")
    gates = Gate(metrics={"bits_per_char": Bound(max=1.425)})
    params = load(find("music"), project_root() / "params.yaml").model_copy(update={"gate": gates})
    gate(find("music"), params, Path("evaluate"), Path("gate"))
    made = Folders(Path("export"), Path("evaluate"), Path("gate"))
    done = promote(find("music"), params, made, Path("promote"), run=Run.open("music promote", None, {}))
    assert done.promoted
    assert done.model_digest == bundle.digest


RECORDS = ("evaluation.json", "decision.json", "promotion.json", "attestation.json")


def test_a_digest_that_was_never_promoted_is_one_line(client: Stack) -> None:
    for digest, words in (("0" * 64, "no model of music"), ("latest", "no model's digest")):
        done = python("-m", "components", "download", "music", "--digest", digest, "--into", "model")
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
        assert not Path("model").exists()


def test_nobody_gets_in_without_a_password_or_by_another_name(running: Stack) -> None:
    def status(path: str, **headers: str) -> int:
        return httpx.get(running.tracking + path, headers=headers, timeout=600).status_code

    runs = "/api/2.0/mlflow/experiments/search?max_results=1"
    user, password = (running.environment[f"MLFLOW_TRACKING_{name}"] for name in ("USERNAME", "PASSWORD"))
    known = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    default = "Basic " + base64.b64encode(b"admin:password1234").decode()
    assert status(runs, Authorization=known) == 200
    assert status(runs) == 401
    assert status(runs, Authorization=default) == 401
    assert status("/api/2.0/mlflow-artifacts/artifacts?path=0") == 401
    assert status(runs, Authorization=known, Host="elsewhere.example") == 403
    assert status(runs, Authorization=known, Host="10.0.0.1.example:5000") == 403


def test_a_reader_may_fetch_a_model_and_change_nothing(
    client: Stack, promoted_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/kubernetes.md makes the user of the containers that fetch models."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.server import get_app_client

    _promote(promoted_bundle)
    version = MlflowClient().get_model_version_by_alias("music", "champion")
    run = version.run_id
    assert run
    experiment = MlflowClient().get_run(run).info.experiment_id
    users = get_app_client("basic-auth", client.tracking)
    users.create_user("reader", password := secrets.token_hex(16))
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    digest = Bundle.open(promoted_bundle).digest
    with pytest.raises(UserError):
        fetch_digest("music", digest, Path("stranger"))

    for name in ("USERNAME", "PASSWORD"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", client.environment[f"MLFLOW_TRACKING_{name}"])
    users.grant_user_permission("reader", "registered_model", "music", "READ")
    users.grant_user_permission("reader", "experiment", experiment, "READ")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    _forbid(client.store, monkeypatch)
    assert Bundle.open(fetch_digest("music", digest, Path("reader"))).digest == digest
    changes: tuple[Callable[[], object], ...] = (
        lambda: MlflowClient().delete_registered_model_alias("music", "champion"),
        lambda: MlflowClient().log_metric(run, "bits_per_char", 0.0),
    )
    for change in changes:
        with pytest.raises(MlflowException, match=r"403|[Pp]ermission"):
            change()


def _forbid(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this process cannot connect to the store, as a task or a pod of another namespace cannot."""
    from urllib3.util import connection

    port, connect = int(store.rpartition(":")[2]), connection.create_connection

    def refused(address: tuple[str, int], *arguments: object, **options: object) -> object:
        if address[1] == port:
            raise ConnectionRefusedError(f"the store is out of reach: {address}")
        return connect(address, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(connection, "create_connection", refused)
    for name in ("DOWNLOAD", "UPLOAD"):  # what the shell or an earlier test set does not count
        monkeypatch.delenv(f"MLFLOW_ENABLE_PROXY_MULTIPART_{name}", raising=False)


def test_data_goes_to_s3_and_comes_back(client: Stack) -> None:
    Path("raw").mkdir()
    Path("raw/tunes.abc").write_text("X:1\nK:D\nABcd|\n")
    remote = ("components", "remote", f"s3://{BUCKET}/dvc", "--endpoint-url", client.store, "--local")
    for arguments in (("dvc", "init", "--no-scm"), ("dvc", "add", "raw"), remote, ("dvc", "push")):
        done = python("-m", *arguments)
        assert done.returncode == 0, done.stderr
    shutil.rmtree("raw")
    shutil.rmtree(".dvc/cache")
    done = python("-m", "dvc", "pull", "--quiet")
    assert done.returncode == 0, done.stderr
    assert Path("raw/tunes.abc").read_text().startswith("X:1")


def test_the_server_refuses_secrets_that_nobody_chose() -> None:
    example = dict(
        line.split("=", 1)
        for line in (PROJECT / "infra/k8s/secrets/tracking.example.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    given = {"MLFLOW_ARTIFACTS_DESTINATION": "s3://b", "MLFLOW_SERVER_ALLOWED_HOSTS": "tracking"}
    found = problems({**example, **given})
    assert len(found) == len(SECRETS), "the example has a placeholder for each secret, and each is refused"
    chosen = {name: "x" * least for name, least in SECRETS.items()}
    assert problems(chosen | given) == []
    for name, least in SECRETS.items():
        assert problems({**chosen, **given, name: "x"}) == [f"{name} has fewer than {least} characters"]
        assert problems({**chosen, **given, name: ""}) == [f"{name} is not set"]
    unfilled = {"MLFLOW_SERVER_ALLOWED_HOSTS": "tracking:5000,$(TRACKING_SERVICE_HOST):$(TRACKING_SERVICE_PORT)"}
    assert problems(chosen | given | unfilled) == ["MLFLOW_SERVER_ALLOWED_HOSTS still says $(TRACKING_SERVICE_HOST)"]
    done = python(str(TRACKING), **example)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the tracking server does not start: ")
    assert not any(value in done.stderr for value in example.values() if "://" in value), "no value is shown"


def test_a_model_that_was_changed_in_the_store_is_refused(client: Stack, promoted_bundle: Path) -> None:
    """Whoever can write to the store cannot make an API serve another model."""
    import boto3

    digest = Bundle.open(promoted_bundle).digest
    _promote(promoted_bundle)
    store = boto3.client("s3", endpoint_url=client.store)
    keys = [entry["Key"] for entry in store.list_objects_v2(Bucket=BUCKET)["Contents"]]
    changed = [key for key in keys if key.endswith("bundle/int8_sample.onnx")]
    assert changed
    for key in changed:
        store.put_object(Bucket=BUCKET, Key=key, Body=b"something else")
    with pytest.raises(Exception, match="sha256"):
        fetch_digest("music", digest, Path("model"))
    assert not Path("model").exists()

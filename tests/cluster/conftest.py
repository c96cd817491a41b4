"""An acceptance suite against a real cluster: `make test-cluster`. What is missing is skipped, and said."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from components.settings import settings
from components.signing_keys import PRIVATE, PUBLIC
from pipelines.connection import Kubeflow
from tests.cluster import options
from tests.cluster.kubectl import (
    KubectlError,
    apply,
    exists,
    forwarded,
    found,
    kubectl,
    missing_cluster,
    namespace,
    secret,
)
from tests.cluster.overlay import ADMIN, Passwords, in_namespace

if TYPE_CHECKING:
    from mlflow import MlflowClient

SECRET = "labs-acceptance"
"""In the namespace of Kubeflow's runs: what their tasks log in to MLflow with."""
KEY, KEYS = "signing-key", "signing-keys"
"""The Secret of the key that promote signs with, in that namespace, and the ConfigMap of its public half."""
ROLLOUT_SECONDS = 900
RAN: list[str] = []
NOTHING_RAN = 5


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The suite's modules are not even read where its marker is not asked for: they import half the product."""
    return True if "not cluster" in config.option.markexpr else None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if "tests/cluster/" in report.nodeid and report.when == "call" and not report.skipped:
        RAN.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """An exit code of its own where all was skipped."""
    ours = any("tests/cluster/" in item.nodeid for item in session.items)
    if ours and not RAN and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = NOTHING_RAN


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [report.nodeid for report in terminalreporter.stats.get("skipped", ())]
    if not RAN and any("tests/cluster/" in name for name in skipped):
        terminalreporter.write_line("NOTHING RAN on a cluster", red=True, bold=True)


@pytest.fixture(scope="session")
def cluster() -> str:
    """The current context of kubectl, once its cluster has answered."""
    if reason := missing_cluster():
        pytest.skip(f"NO CLUSTER: {reason}")
    return kubectl("config", "current-context").strip()


@dataclass(frozen=True)
class Platform:
    """The local overlay, running in a namespace of its own. tracking: MLflow's address from here."""

    namespace: str
    passwords: Passwords
    tracking: str

    @property
    def mlflow(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(self.tracking)


@pytest.fixture(scope="session")
def own_namespace(cluster: str) -> Iterator[str]:
    """A namespace for the overlay. It is removed afterwards, with all that is in it."""
    name = f"labs-acceptance-{uuid.uuid4().hex[:6]}"
    yield name
    kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="session")
def platform(own_namespace: str) -> Iterator[Platform]:
    """The local overlay with chosen secrets, its database, store and MLflow rolled out, and a way to MLflow."""
    passwords = Passwords()
    objects = in_namespace("local", own_namespace)
    apply(objects[:1])
    apply([*passwords.as_secrets(own_namespace), public_keys(own_namespace)])
    apply(objects[1:])
    for workload in ("statefulset/database", "statefulset/store"):
        rolled_out(own_namespace, workload)
    # Now, because the job is removed ten minutes after its end.
    job = ("job/bucket", "--for=condition=complete", "--timeout=600s")
    kubectl("wait", f"--namespace={own_namespace}", *job, seconds=660)
    rolled_out(own_namespace, "deployment/tracking")
    # The server knows the name localhost:5000, so no other port of this machine leads to it.
    with pytest.MonkeyPatch.context() as patch, forwarded(own_namespace, "tracking", 5000, local=5000) as port:
        address = f"http://localhost:{port}"
        variables = {"URI": address, "USERNAME": ADMIN, "PASSWORD": passwords.admin}
        for name, value in variables.items():
            patch.setenv(f"MLFLOW_TRACKING_{name}", value)
        settings.cache_clear()
        yield Platform(own_namespace, passwords, address)
    settings.cache_clear()


def public_keys(name: str) -> dict[str, Any]:
    """The ConfigMap of the public key that goes with this session's private one."""
    text = (Path(str(settings().signing_public_keys)) / PUBLIC).read_text()
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": KEYS, "namespace": name}}
    return {**made, "data": {PUBLIC: text}}


def rolled_out(name: str, workload: str) -> None:
    command = ("rollout", "status", f"--namespace={name}", workload, f"--timeout={ROLLOUT_SECONDS}s")
    try:
        kubectl(*command, seconds=ROLLOUT_SECONDS + 60)
    except KubectlError as error:
        pods = kubectl("get", "pods", f"--namespace={name}", "--output=wide")
        raise AssertionError(f"{workload} was not rolled out: {error}\n{pods}") from None


@pytest.fixture(scope="session")
def kubeflow(platform: Platform) -> Iterator[Kubeflow]:
    """Kubeflow, whose runs may reach the platform's MLflow while the suite runs."""
    if not options.KUBEFLOW_HOST:
        pytest.skip("NO KUBEFLOW: KUBEFLOW_HOST is not set, no pipeline was run")
    installed = options.connection().open()
    labels = found("namespace", options.RUNS)["metadata"].get("labels", {})
    before = labels.get("labs/speaks-to")
    kubectl("label", "namespace", options.RUNS, "labs/speaks-to=tracking", "--overwrite")
    private = {PRIVATE: Path(str(settings().signing_key)).read_text()}
    login = {"username": ADMIN, "password": platform.passwords.admin}
    apply([secret(SECRET, options.RUNS, login), secret(KEY, options.RUNS, private), public_keys(options.RUNS)])
    yield installed
    kubectl("delete", "secret", SECRET, KEY, f"--namespace={options.RUNS}", "--ignore-not-found")
    kubectl("delete", "configmap", KEYS, f"--namespace={options.RUNS}", "--ignore-not-found")
    label = f"labs/speaks-to={before}" if before else "labs/speaks-to-"
    kubectl("label", "namespace", options.RUNS, label, "--overwrite")


@pytest.fixture(scope="session")
def clients_namespace(platform: Platform) -> Iterator[str]:
    """Where clients of the APIs are: the APIs' NetworkPolicies let this namespace in."""
    name = f"{platform.namespace}-clients"
    apply([namespace(name, {"labs/speaks-to": "apis"})])
    yield name
    kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def until(seconds: float, what: str) -> Iterator[None]:
    """A look every two seconds; fails the test when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(2)
    pytest.fail(f"{what}: not within {seconds:g} s")


def trainer_installed() -> bool:
    return exists("customresourcedefinition", "trainjobs.trainer.kubeflow.org")


def environment() -> dict[str, str]:
    """For a command of the product's: the suite's way to MLflow and Kubeflow."""
    return dict(os.environ)

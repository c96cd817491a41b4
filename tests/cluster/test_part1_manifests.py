"""Part 1: the overlays are what a real API server takes, and the local one runs."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest

from infra.manifests import K8S
from tests.cluster.conftest import Platform, rolled_out, until
from tests.cluster.kubectl import KubectlError, apply, found, kubectl, namespace, restarts, secret
from tests.cluster.overlay import in_namespace
from tests.infra.manifests import OVERLAYS

pytestmark = pytest.mark.cluster
FOREIGN = {"monitoring.coreos.com": "the Prometheus operator"}
CALM_SECONDS = 300


@pytest.fixture
def empty_namespace(cluster: str) -> Iterator[str]:
    name = f"labs-dry-{uuid.uuid4().hex[:6]}"
    apply([namespace(name, {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")})])
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_api_server_takes_every_object(overlay: str, empty_namespace: str) -> None:
    groups = kubectl("api-versions")
    wanted = [one for one in in_namespace(overlay, empty_namespace) if one["kind"] != "Namespace"]
    unknown = [one for one in wanted if one["apiVersion"].split("/")[0] in FOREIGN and one["apiVersion"] not in groups]
    for kind in sorted({one["kind"] for one in unknown}):
        print(f"NOT TRIED: {kind}, because {FOREIGN[unknown[0]['apiVersion'].split('/')[0]]} is not installed")
    # A template whose pods the namespace would refuse is a warning.
    said = apply([one for one in wanted if one not in unknown], "--dry-run=server", "--warnings-as-errors")
    assert said.count("(server dry run)") == len(wanted) - len(unknown)


def test_the_example_secrets_are_refused_in_one_line(empty_namespace: str) -> None:
    """The database and the server end at once, and their last line names what must be chosen."""
    examples = K8S / "secrets"
    store = (examples / "store.example.json").read_text()
    for name, values in {
        "database": _env((examples / "database.example.env").read_text()),
        "tracking": _env((examples / "tracking.example.env").read_text()),
        "tracking-reader": _env((examples / "tracking-reader.example.env").read_text()),
        "store": {"store.json": store},
    }.items():
        apply([secret(name, empty_namespace, values)])
    objects = in_namespace("local", empty_namespace)
    apply([one for one in objects if one["kind"] != "Namespace" and not one["metadata"]["name"].endswith("-api")])
    waiting = {"database": "database", "tracking": "prepare", "store": "store"}
    for _ in until(600, f"these refuse to start: {waiting}"):
        for name, container in dict(waiting).items():
            line = _last_words(empty_namespace, name, container)
            if "error: " in line and ("choose" in line or "CHANGE-ME" in line):
                del waiting[name]
        if not waiting:
            break


def test_the_local_overlay_is_rolled_out_and_nothing_restarts_for_five_minutes(platform: Platform) -> None:
    for workload in ("statefulset/database", "statefulset/store", "deployment/tracking"):
        rolled_out(platform.namespace, workload)
    before = restarts(platform.namespace)
    time.sleep(CALM_SECONDS)
    after = restarts(platform.namespace)
    assert {name: after[name] for name in before if name in after} == before


def _env(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def _last_words(name: str, workload: str, container: str) -> str:
    """The last line of a container's log that ended; "" while there is none."""
    label = f"app.kubernetes.io/name={workload}"
    for pod in found("pods", f"--namespace={name}", f"--selector={label}")["items"]:
        for previous in ("--previous=true", "--previous=false"):
            try:
                log = kubectl(
                    "logs", f"--namespace={name}", pod["metadata"]["name"], f"--container={container}", previous
                )
            except KubectlError:
                continue
            if log.strip():
                return log.strip().splitlines()[-1]
    return ""

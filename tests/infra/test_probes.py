"""What the kubelet asks of every container is asked here of the real server, in the kubelet's way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.manifests import K8S
from infra.stack import TRACKING, Stack, stack
from tests.infra.manifests import OVERLAYS, of_kind, templates
from tests.serving.servers import Server, serving

DOCKER = K8S.parent / "docker"
SERVICE = {"TRACKING_SERVICE_HOST": "34.118.230.7", "TRACKING_SERVICE_PORT": "5000"}
"""An address of GKE's default range of Services: outside 10.0.0.0/8, and no private range either."""
POD = "10.244.0.7:5000"
"""The address that the kubelet asks for: the pod's own, which is in no list of hosts."""


def http_probes(overlay: str) -> Iterator[tuple[str, str, str]]:
    """Where, kind and path of every probe over HTTP."""
    for where, template in templates(overlay):
        for container in template["spec"]["containers"]:
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                if "httpGet" in container.get(kind, {}):
                    yield where, kind, container[kind]["httpGet"]["path"]


def passes(address: str, path: str) -> bool:
    """As the kubelet judges: no password, no redirect followed, and any status from 200 to 399 will do."""
    return 200 <= httpx.get(address + path, headers={"Host": POD}, timeout=600).status_code < 400


def container(overlay: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in of_kind(overlay, "Deployment") if one["metadata"]["name"] == name)
    first: dict[str, Any] = found["spec"]["template"]["spec"]["containers"][0]
    return first


def allowed_hosts(overlay: str) -> list[str]:
    """The server's list of hosts, filled in as Kubernetes does: from the ConfigMap and the variables of Services."""
    (configuration,) = (one for one in of_kind(overlay, "ConfigMap") if one["metadata"]["name"].startswith("tracking-"))
    (variable,) = (one for one in container(overlay, "tracking")["env"] if one["name"] == "MLFLOW_SERVER_ALLOWED_HOSTS")
    known = {**configuration["data"], **SERVICE}
    return re.sub(r"\$\((\w+)\)", lambda found: known[found[1]], variable["value"]).split(",")


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """MLflow with users, started with its image's command."""
    (command,) = re.findall(r"(?m)^CMD (.*)$", (DOCKER / "tracking.Dockerfile").read_text())
    assert json.loads(command) == ["python", TRACKING.name]
    with stack(tmp_path_factory.mktemp("stack"), hosts=allowed_hosts("local")) as started:
        yield started


@pytest.fixture(scope="module")
def api(promoted_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API; all of them are one template, and answer these paths by the same code."""
    (command,) = re.findall(r"(?m)^CMD (.*)$", (DOCKER / "serving.Dockerfile").read_text().split("AS fetch")[0])
    assert json.loads(command) == ["python", "-m", "serving.service"]
    with serving("music", promoted_bundle, tmp_path_factory.mktemp("api")) as server:
        yield server


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_path_that_a_probe_asks_for_is_answered_without_a_password(
    overlay: str, tracking: Stack, api: Server
) -> None:
    probes = list(http_probes(overlay))
    assert {kind for _, kind, _ in probes} == {"startupProbe", "readinessProbe", "livenessProbe"}
    for where, kind, path in probes:
        address = tracking.tracking if where == "Deployment tracking" else api.address
        assert passes(address, path), f"{where}: {kind} asks for {path}, and would kill or hide the pod"


def test_a_probe_that_asks_for_a_path_with_a_password_is_caught(tracking: Stack) -> None:
    """What MLflow's liveness probe once asked for: answered before users were on, and 401 since."""
    assert not passes(tracking.tracking, "/version")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_api_finds_mlflow_by_its_services_address_whatever_range_it_is_of(overlay: str, tracking: Stack) -> None:
    assert not any("*" in host for host in allowed_hosts(overlay)), "a pattern lets in names that begin alike"

    def status(host: str) -> int:
        address = f"{tracking.tracking}/api/2.0/mlflow/experiments/search?max_results=1"
        return httpx.get(address, headers={"Host": host}, timeout=600).status_code

    assert status(f"{SERVICE['TRACKING_SERVICE_HOST']}:5000") == 401, "let in by its host, then asked for a password"
    for host in ("34.118.230.8:5000", "10.0.0.9:5000", "10.example.com", "elsewhere.example"):
        assert status(host) == 403, host


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_both_ends_get_the_services_address_from_kubernetes(overlay: str) -> None:
    """The variables of Services are only set where links to them are on."""
    for name in ("tracking", "music-api"):
        (found,) = (one for one in of_kind(overlay, "Deployment") if one["metadata"]["name"] == name)
        assert found["spec"]["template"]["spec"]["enableServiceLinks"] is True
    (found,) = (one for one in of_kind(overlay, "Deployment") if one["metadata"]["name"] == "music-api")
    (fetch,) = found["spec"]["template"]["spec"]["initContainers"]
    (address,) = (one["value"] for one in fetch["env"] if one["name"] == "MLFLOW_TRACKING_URI")
    assert address == "http://$(TRACKING_SERVICE_HOST):$(TRACKING_SERVICE_PORT)"

"""A lab's canary: a second Deployment whose pods answer a share of the lab's requests, and which is moved by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from infra import deploy, pods
from infra.deploy import DIGEST
from tests.infra.cluster import cluster, write_configuration
from tests.infra.manifests import OVERLAYS, objects, pod_labels, selects
from tests.infra.test_deploy import connected_from
from tests.infra.test_kubernetes import KUBERNETES, OPERATOR

LAB, API, CANARY = "faces", "faces-api", "faces-canary-api"
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def added(overlay: str) -> list[dict[str, Any]]:
    """The objects that the canary adds to an overlay, or changes."""
    before = objects(overlay)
    return [one for one in objects(overlay, LAB) if one not in before]


def named(overlay: str, kind: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in objects(overlay, LAB) if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


@every_overlay
def test_a_canary_adds_its_pods_and_changes_whom_the_service_asks_and_what_may_be_moved(overlay: str) -> None:
    assert sorted((one["kind"], one["metadata"]["name"]) for one in added(overlay)) == [
        ("Deployment", CANARY),
        ("NetworkPolicy", CANARY),
        ("Role", "deployer"),
        ("Service", API),
        ("ServiceAccount", CANARY),
    ]
    for one in added(overlay):
        assert one["apiVersion"] != OPERATOR
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
    assert CANARY in named(overlay, "Role", "deployer")["rules"][0]["resourceNames"]


@every_overlay
def test_the_service_asks_both_and_neither_deployment_takes_the_others_pods(overlay: str) -> None:
    both = [named(overlay, "Deployment", name) for name in (API, CANARY)]
    chosen = named(overlay, "Service", API)["spec"]["selector"]
    for one in objects(overlay, LAB):
        if one["kind"] == "Deployment":
            assert selects({"matchLabels": chosen}, pod_labels(one)) == (one in both), one["metadata"]["name"]
    for kind, field in (("Deployment", "selector"), ("NetworkPolicy", "podSelector")):
        for name, pod in zip((API, CANARY), both, strict=True):
            selector = named(overlay, kind, name)["spec"][field]
            assert [selects(selector, pod_labels(each)) for each in both] == [each is pod for each in both], (
                kind,
                name,
            )
    disruptions = named(overlay, "PodDisruptionBudget", API)["spec"]["selector"]
    assert [selects(disruptions, pod_labels(each)) for each in both] == [True, False]


@every_overlay
def test_a_canary_runs_as_the_api_does(overlay: str) -> None:
    api, canary = (named(overlay, "Deployment", name)["spec"]["template"]["spec"] for name in (API, CANARY))
    assert canary["containers"] == api["containers"]
    assert canary["initContainers"] == api["initContainers"]
    assert canary["securityContext"] == api["securityContext"]
    policies = [named(overlay, "NetworkPolicy", name)["spec"] for name in (API, CANARY)]
    assert policies[0]["egress"] == policies[1]["egress"]
    assert policies[0]["ingress"] == policies[1]["ingress"]
    assert named(overlay, "Deployment", CANARY)["spec"]["replicas"] == 1


def test_deploy_moves_the_canary_and_not_the_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server knows the canary's Deployment only: a request about the API's would be a 404."""
    connected_from(tmp_path, monkeypatch)
    deployment = yaml.safe_load(yaml.safe_dump(named("local", "Deployment", CANARY)))
    with cluster(deployment, LAB) as here, caplog.at_level("INFO", logger="infra.deploy"):
        write_configuration(tmp_path / "kubeconfig", here.address)
        deploy.deploy(pods.Cluster.connect(None, "labs", canary=True), LAB, "1" * 64, 600)
    assert here.template[DIGEST] == "1" * 64
    assert caplog.messages[-1] == f"the canary of faces serves {'1' * 64} (before: nothing)"

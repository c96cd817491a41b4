"""The manifests: valid for a stated Kubernetes, hardened, and small enough for a laptop, rule by rule."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from components.apis import served_labs
from components.labs import find
from components.params import load
from infra.api_names import deployment_name
from infra.manifests import K8S, render, write_components
from tests.infra.manifests import (
    OVERLAYS,
    api_deployment,
    containers,
    objects,
    of_kind,
    pod_labels,
    requested,
    selects,
    served,
    templates,
)

PROJECT = K8S.parent.parent
KUBERNETES = "1.35"
OPERATOR = "monitoring.coreos.com/v1"
"""Kinds of the Prometheus operator, which Kubernetes' own schemas do not know."""
RESTRICTED = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
"""The volumes that Pod Security's `restricted` allows."""

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@every_overlay
def test_every_object_is_valid_for_kubernetes(overlay: str) -> None:
    checked = 0
    for one in objects(overlay):
        if one["apiVersion"] != OPERATOR:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
            checked += 1
    assert checked > 25
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce-version"] == f"v{KUBERNETES}"


def test_a_field_that_kubernetes_does_not_have_is_noticed() -> None:
    deployment = json.loads(json.dumps(of_kind("local", "Deployment")[0]))
    deployment["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES, strict=True)


@every_overlay
def test_everything_is_in_the_namespace(overlay: str) -> None:
    for one in objects(overlay):
        if one["kind"] != "Namespace":
            assert one["metadata"]["namespace"] == "labs", one["metadata"]["name"]
        for subject in one.get("subjects", []):
            assert subject["kind"] == "Group" or subject["namespace"] == "labs"


@every_overlay
def test_no_container_could_run_as_root_or_gain_anything(overlay: str) -> None:
    for where, spec, pod, _ in containers(overlay):
        of_pod, own = pod["securityContext"], spec["securityContext"]
        assert of_pod["runAsNonRoot"] is True, where
        assert of_pod["runAsUser"] > 0, where
        assert own.get("runAsUser", 1) > 0, where
        assert own.get("runAsNonRoot", True) is True, where
        assert of_pod["seccompProfile"]["type"] == "RuntimeDefault", where
        assert own["allowPrivilegeEscalation"] is False, where
        assert own.get("privileged", False) is False, where
        assert own["capabilities"] == {"drop": ["ALL"]}, where


@every_overlay
def test_no_container_writes_to_its_own_files(overlay: str) -> None:
    for where, spec, _, _ in containers(overlay):
        assert spec["securityContext"]["readOnlyRootFilesystem"] is True, where


@every_overlay
def test_no_pod_shares_anything_with_its_machine(overlay: str) -> None:
    for where, template in templates(overlay):
        pod = template["spec"]
        assert not any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")), where
        for volume in pod.get("volumes", []):
            assert set(volume) - {"name"} <= RESTRICTED, where
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"], f"{where}: {volume['name']} could fill the machine"
    for where, spec, _, _ in containers(overlay):
        assert not any("hostPort" in port for port in spec.get("ports", [])), where


@every_overlay
def test_every_pod_has_an_account_of_its_own_without_a_token(overlay: str) -> None:
    accounts = {one["metadata"]["name"]: one for one in of_kind(overlay, "ServiceAccount")}
    for where, template in templates(overlay):
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False, where
        assert accounts[pod["serviceAccountName"]]["automountServiceAccountToken"] is False, where
    bound = {subject["name"] for one in of_kind(overlay, "RoleBinding") for subject in one["subjects"]}
    assert bound.isdisjoint(template["spec"]["serviceAccountName"] for _, template in templates(overlay))


@every_overlay
def test_every_container_says_what_it_needs_and_may_take(overlay: str) -> None:
    for where, spec, _, _ in containers(overlay):
        assert {"cpu", "memory"} <= set(spec["resources"]["requests"]), where
        assert "memory" in spec["resources"]["limits"], where


@every_overlay
def test_every_server_has_three_different_probes(overlay: str) -> None:
    servers = {f"{one['kind']} {one['metadata']['name']}" for one in of_kind(overlay, "Deployment", "StatefulSet")}
    for where, spec, _, starts_pod in containers(overlay):
        if starts_pod or where.split(",")[0] not in servers:
            continue
        probes = [json.dumps(spec[f"{kind}Probe"], sort_keys=True) for kind in ("startup", "readiness", "liveness")]
        assert len(set(probes)) == 3, where


@every_overlay
def test_an_api_is_alive_by_another_question_than_ready(overlay: str) -> None:
    for lab in served(overlay):
        spec = api_deployment(overlay, lab)["spec"]["template"]["spec"]["containers"][0]
        assert spec["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert spec["livenessProbe"]["httpGet"]["path"] == "/livez"


@every_overlay
def test_a_rollout_takes_no_pod_away_before_another_is_ready(overlay: str) -> None:
    limits = load(find("music"), PROJECT / "params.yaml").serve
    assert limits
    for one in of_kind(overlay, "Deployment"):
        assert one["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, one["metadata"]["name"]
        pod = one["spec"]["template"]["spec"]
        wait = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert wait > 0, "SIGTERM must come after the last request"
        assert pod["terminationGracePeriodSeconds"] > wait + limits.drain_seconds


@every_overlay
def test_an_api_keeps_a_pod_through_maintenance(overlay: str) -> None:
    assert served(overlay)
    for lab in served(overlay):
        assert "replicas" not in api_deployment(overlay, lab)["spec"], "the autoscaler's number would be overwritten"
        name = deployment_name(lab)
        (budget,) = (one for one in of_kind(overlay, "PodDisruptionBudget") if one["metadata"]["name"] == name)
        assert selects(budget["spec"]["selector"], pod_labels(api_deployment(overlay, lab)))


def test_every_api_of_a_large_cluster_scales() -> None:
    scalers = {one["metadata"]["name"]: one["spec"] for one in of_kind("production", "HorizontalPodAutoscaler")}
    assert set(scalers) == {deployment_name(lab) for lab in served("production")}
    for name, spec in scalers.items():
        assert spec["scaleTargetRef"]["name"] == name
        assert 2 <= spec["minReplicas"] < spec["maxReplicas"]


CLUSTERS_OWN = (950, 1024)
"""Millicores and MiB of a small node's own pods: kind's API server, controllers, scheduler, etcd, DNS twice, network
(250, 200, 100, 100, 200, 100), and the memory that they and the kubelet were seen to take."""
LAPTOP = (2000, 4096)


def test_the_local_cluster_fits_two_cpus_and_4_gb_with_a_second_pod_of_any_rollout() -> None:
    """No autoscaler either: it needs metrics-server."""
    assert of_kind("local", "HorizontalPodAutoscaler") == []
    assert set(served("local")) == {"music", "faces"}
    pods = [requested(template["spec"]) for _, template in templates("local")]
    rolled = [requested(one["spec"]["template"]["spec"]) for one in of_kind("local", "Deployment")]
    for index, (own, limit) in enumerate(zip(CLUSTERS_OWN, LAPTOP, strict=True)):
        asked = own + sum(pod[index] for pod in pods) + max(pod[index] for pod in rolled)
        assert asked <= limit, f"{asked} of {('millicores', 'MiB')[index]} on a node of {limit}"


def test_images_that_are_not_ours_are_pinned_by_digest() -> None:
    foreign = {
        spec["image"]
        for overlay in OVERLAYS
        for _, spec, _, _ in containers(overlay)
        if not spec["image"].split("/")[-1].startswith("labs-")
    }
    assert len(foreign) == 2
    assert all(re.fullmatch(r"[a-z/]+:[0-9.]+@sha256:[0-9a-f]{64}", image) for image in foreign), foreign


@every_overlay
def test_services_find_their_pods_and_ports(overlay: str) -> None:
    for service in of_kind(overlay, "Service"):
        spec = service["spec"]
        found = [
            template
            for _, template in templates(overlay)
            if selects({"matchLabels": spec["selector"]}, template["metadata"]["labels"])
        ]
        assert len(found) == 1, service["metadata"]["name"]
        ports = {port["name"] for one in found[0]["spec"]["containers"] for port in one.get("ports", [])}
        assert {port["targetPort"] for port in spec["ports"]} <= ports


def test_every_lab_with_an_api_has_a_component_of_its_own(tmp_path: Path) -> None:
    """One line in an overlay is all that a further lab takes."""
    copy = tmp_path / "k8s"
    shutil.copytree(K8S, copy, ignore=shutil.ignore_patterns("labs", "rendered"))
    write_components(copy)
    own = copy / "overlays" / "local" / "kustomization.yaml"
    lines = [f"  - ../../labs/{lab}" for lab in served_labs() if lab not in served("local")]
    own.write_text(own.read_text().replace("  - ../../labs/faces\n", "\n".join(["  - ../../labs/faces", *lines, ""])))
    made = [one for one in yaml.safe_load_all(render(own.parent)) if one]
    deployments = {one["metadata"]["name"] for one in made if one["kind"] == "Deployment"}
    assert {deployment_name(lab) for lab in served_labs()} < deployments
    for one in made:
        if one["apiVersion"] != OPERATOR:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)


def test_a_neighbour_of_mlflow_gets_no_variable_that_mlflow_reads() -> None:
    """A Service named mlflow would set MLFLOW_PORT=tcp://... in every pod of the namespace."""
    for overlay in OVERLAYS:
        assert not any(one["metadata"]["name"].startswith("mlflow") for one in of_kind(overlay, "Service"))


def test_pipelines_look_for_mlflow_where_it_is() -> None:
    address = yaml.safe_load((PROJECT / "params.yaml").read_text())["pipelines"]["environment"]["MLFLOW_TRACKING_URI"]
    host = address.removeprefix("http://")
    name, namespace, *_ = host.split(":")[0].split(".")
    for overlay in OVERLAYS:
        (service,) = (one for one in of_kind(overlay, "Service") if one["metadata"]["name"] == name)
        assert service["metadata"]["namespace"] == namespace
        assert service["spec"]["ports"][0]["port"] == int(host.split(":")[1])
        (configuration,) = (
            one for one in of_kind(overlay, "ConfigMap") if one["metadata"]["name"].startswith("tracking-")
        )
        assert host in configuration["data"]["HOSTS"].split(",")

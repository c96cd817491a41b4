"""Who may reach what, who has which secret and which right: rule by rule over the manifests."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.apis import api_of
from infra.api_names import deployment_name
from infra.manifests import K8S
from tests.infra.manifests import (
    OVERLAYS,
    api_deployment,
    objects,
    of_kind,
    pod_labels,
    selects,
    served,
    templates,
    text,
)

PROJECT = K8S.parent.parent
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@every_overlay
def test_nobody_speaks_to_anybody_unless_a_policy_says_so(overlay: str) -> None:
    policies = of_kind(overlay, "NetworkPolicy")
    (deny,) = (one["spec"] for one in policies if one["metadata"]["name"] == "default-deny")
    assert deny["podSelector"] == {}
    assert sorted(deny["policyTypes"]) == ["Egress", "Ingress"]
    assert not deny.get("ingress")
    assert not deny.get("egress")
    for policy in policies:
        spec = policy["spec"]
        for way, peers in [("ingress", "from"), ("egress", "to")]:
            for rule in spec.get(way, []):
                assert rule.get(peers), f"{policy['metadata']['name']}: {way} to or from anywhere"
                assert rule.get("ports"), f"{policy['metadata']['name']}: {way} on any port"
                for peer in rule[peers]:
                    assert peer.get("ipBlock", {}).get("cidr") != "0.0.0.0/0"
                    assert peer.get("podSelector") != {} or "namespaceSelector" in peer
        assert spec["podSelector"] == {} or any(
            selects(spec["podSelector"], template["metadata"]["labels"]) for _, template in templates(overlay)
        ), f"{policy['metadata']['name']} is for no pod"


@every_overlay
def test_an_api_reaches_mlflow_and_nothing_else(overlay: str) -> None:
    for lab in served(overlay):
        labels = pod_labels(api_deployment(overlay, lab))
        (own,) = (
            one["spec"]
            for one in of_kind(overlay, "NetworkPolicy")
            if one["spec"]["podSelector"] and selects(one["spec"]["podSelector"], labels)
        )
        (way,) = own["egress"]
        (peer,) = way["to"]
        assert way["ports"] == [{"port": 5000}], "not even DNS, which would be a way out"
        reached = [
            where
            for where, template in templates(overlay)
            if selects(peer["podSelector"], template["metadata"]["labels"])
        ]
        assert reached == ["Deployment tracking"]


@every_overlay
def test_only_what_fetches_a_model_has_a_password(overlay: str) -> None:
    for lab in served(overlay):
        pod = api_deployment(overlay, lab)["spec"]["template"]["spec"]
        (fetch,), (serve,) = pod["initContainers"], pod["containers"]
        assert "secretKeyRef" in json.dumps(fetch)
        assert "secretKeyRef" not in json.dumps(serve)
        assert "envFrom" not in serve
        (mount,) = (mount for mount in serve["volumeMounts"] if mount["name"] == "bundle")
        assert mount["readOnly"] is True
        hashes = {"api-keys"} if overlay == "production" else set()
        assert {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume} == hashes


def test_in_production_an_api_asks_for_keys_that_change_without_a_restart() -> None:
    assert served("production")
    for lab in served("production"):
        pod = api_deployment("production", lab)["spec"]["template"]["spec"]
        (serve,) = pod["containers"]
        (named,) = [one["value"] for one in serve["env"] if one["name"] == "SERVE_API_KEYS"]
        (mount,) = [one for one in serve["volumeMounts"] if one["name"] == "api-keys"]
        assert named == f"{mount['mountPath']}/keys"
        assert mount["readOnly"] is True
        assert "subPath" not in mount, "a file that is mounted alone never changes"
    for lab in served("local"):
        assert "SERVE_API_KEYS" not in json.dumps(api_deployment("local", lab))


@every_overlay
def test_an_api_serves_the_model_that_its_annotation_names(overlay: str) -> None:
    for lab in served(overlay):
        deployment = api_deployment(overlay, lab)
        fetch = deployment["spec"]["template"]["spec"]["initContainers"][0]
        assert fetch["command"][:5] == ["python", "-m", "components", "download", "$(LAB)"]
        variables = {one["name"]: one for one in fetch["env"]}
        assert variables["LAB"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['labs/lab']"
        assert (
            variables["MODEL_DIGEST"]["valueFrom"]["fieldRef"]["fieldPath"]
            == "metadata.annotations['labs/model-digest']"
        )
        assert pod_labels(deployment)["labs/lab"] == lab
        assert "labs/model-digest" not in deployment["spec"]["template"]["metadata"].get("annotations", {}), (
            "applying the manifests would take the model back"
        )
        assert fetch["image"].split("/")[-1].startswith("labs-fetch:")
        serve = deployment["spec"]["template"]["spec"]["containers"][0]
        assert serve["image"].split("/")[-1].startswith(f"labs-{api_of(lab)}:")


@every_overlay
def test_no_secret_is_in_the_manifests(overlay: str) -> None:
    assert of_kind(overlay, "Secret") == []
    assert not re.search(r"(?i)(password|secret[-_]?key|token)['\"]?\s*[:=]\s*[\"']?[A-Za-z0-9+/]{6,}", text(overlay))
    kept = {path.name for path in (K8S / "secrets").iterdir() if _tracked(path)}
    for name in kept:
        assert ".example." in name
        content = (K8S / "secrets" / name).read_text()
        values = re.findall(r"(?m)^[A-Za-z_]+=(.*)$|Key\": \"([^\"]*)\"", content)
        assert values
        assert all("CHANGE-ME" in "".join(value) for value in values), name
    wanted = set(_secrets(objects(overlay)))
    assert {"tracking", "tracking-reader"} <= wanted <= {name.split(".")[0] for name in kept}


def _secrets(value: Any) -> Iterator[str]:
    """Names of the secrets that anything refers to."""
    if isinstance(value, list):
        for one in value:
            yield from _secrets(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key in ("secretRef", "secretKeyRef"):
                yield one["name"]
            elif key == "secretName":
                yield one
            else:
                yield from _secrets(one)


def _tracked(path: Path) -> bool:
    done = subprocess.run(["git", "check-ignore", "-q", str(path)], cwd=PROJECT, check=False, timeout=600)
    return done.returncode != 0


@every_overlay
def test_nobody_may_do_more_than_the_work_needs(overlay: str) -> None:
    assert of_kind(overlay, "ClusterRole", "ClusterRoleBinding") == []
    for role in of_kind(overlay, "Role"):
        for rule in role["rules"]:
            words = [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
            assert "*" not in words, role["metadata"]["name"]
            assert not {"secrets", "pods/exec", "rolebindings", "roles"} & set(rule["resources"])
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
    (deployer,) = (one for one in of_kind(overlay, "Role") if one["metadata"]["name"] == "deployer")
    moved, *looked_at = deployer["rules"]
    assert set(moved["resourceNames"]) == {"none", *map(deployment_name, served(overlay))}
    assert {verb for rule in looked_at for verb in rule["verbs"]} == {"get", "list"}
    roles = {one["metadata"]["name"] for one in of_kind(overlay, "Role")}
    assert {one["roleRef"]["name"] for one in of_kind(overlay, "RoleBinding")} <= roles

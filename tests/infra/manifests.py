"""The manifests as kustomize renders them now, and what is found in them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from components.apis import served_labs
from infra.api_names import deployment_name
from infra.manifests import K8S, overlays, render, write_components

OVERLAYS = overlays()
MIB = {"Mi": 1, "Gi": 1024}


class Container(NamedTuple):
    """One of a pod's, with the pod it is in."""

    where: str
    spec: dict[str, Any]
    pod: dict[str, Any]
    starts_pod: bool


@cache
def text(overlay: str, canary: str = "") -> str:
    """An overlay as kustomize renders it, in a copy: nothing is written beside the sources.

    canary: a lab whose canary the overlay names after the lab itself.
    """
    if shutil.which("kubectl") is None:
        pytest.skip("NO KUBECTL: no manifest was rendered, and none was tested")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "k8s"
        shutil.copytree(K8S, copy, ignore=shutil.ignore_patterns("labs", "rendered"))
        write_components(copy)
        if canary:
            kustomization = copy / "overlays" / overlay / "kustomization.yaml"
            line = f"  - ../../labs/{canary}\n"
            named = kustomization.read_text().replace(line, f"{line}  - ../../labs/{canary}/canary\n")
            kustomization.write_text(named)
        return render(copy / "overlays" / overlay)


@cache
def objects(overlay: str, canary: str = "") -> list[dict[str, Any]]:
    """Every object of an overlay."""
    return [one for one in yaml.safe_load_all(text(overlay, canary)) if one]


def of_kind(overlay: str, *kinds: str) -> list[dict[str, Any]]:
    return [one for one in objects(overlay) if one["kind"] in kinds]


def templates(overlay: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pods that the objects make: where, and the pod's template."""
    for one in objects(overlay):
        template = one.get("spec", {}).get("template")
        if isinstance(template, dict) and "containers" in template.get("spec", {}):
            yield f"{one['kind']} {one['metadata']['name']}", template


def containers(overlay: str) -> Iterator[Container]:
    for where, template in templates(overlay):
        pod = template["spec"]
        for kind in ("initContainers", "containers"):
            for spec in pod.get(kind, []):
                yield Container(f"{where}, {spec['name']}", spec, pod, kind == "initContainers")


def served(overlay: str) -> list[str]:
    """The labs that have an API in an overlay."""
    names = {one["metadata"]["name"] for one in of_kind(overlay, "Deployment")}
    return [lab for lab in served_labs() if deployment_name(lab) in names]


def millicores(quantity: str) -> int:
    return int(quantity[:-1]) if quantity.endswith("m") else round(1000 * float(quantity))


def mebibytes(quantity: str) -> int:
    return int(quantity[:-2]) * MIB[quantity[-2:]]


def requested(pod: Mapping[str, Any]) -> tuple[int, int]:
    """Millicores and MiB that the scheduler sets aside for a pod: its containers together, or its largest init one."""
    sums = [[amount["cpu"], amount["memory"]] for amount in _requests(pod, "containers")]
    starts = [[amount["cpu"], amount["memory"]] for amount in _requests(pod, "initContainers")]
    together = [sum(column) for column in zip(*sums, strict=True)]
    largest = [max(column) for column in zip(*starts, strict=True)] if starts else [0, 0]
    cpu, memory = (max(pair) for pair in zip(together, largest, strict=True))
    return cpu, memory


def _requests(pod: Mapping[str, Any], kind: str) -> list[dict[str, int]]:
    asked = [container["resources"]["requests"] for container in pod.get(kind, [])]
    return [{"cpu": millicores(one["cpu"]), "memory": mebibytes(one["memory"])} for one in asked]


def api_deployment(overlay: str, lab: str) -> dict[str, Any]:
    (found,) = (one for one in of_kind(overlay, "Deployment") if one["metadata"]["name"] == deployment_name(lab))
    return found


def pod_labels(workload: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())

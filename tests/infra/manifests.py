"""The rendered manifests, and what is found in them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

K8S = Path(__file__).resolve().parent.parent.parent / "infra" / "k8s"
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())


class Container(NamedTuple):
    """One of a pod's, with the pod it is in."""

    where: str
    spec: dict[str, Any]
    pod: dict[str, Any]
    starts_pod: bool


@cache
def objects(overlay: str) -> list[dict[str, Any]]:
    """Every object of an overlay as it is committed, which `kubectl kustomize` made."""
    return [one for one in yaml.safe_load_all((K8S / "rendered" / f"{overlay}.yaml").read_text()) if one]


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

"""What the acceptance suite is told about a cluster, by environment variables (docs/kubernetes.md lists them)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from components.labs import find
from pipelines.connection import Connection
from tests.workspace import SMOKE

KUBEFLOW_HOST = os.environ.get("KUBEFLOW_HOST", "")
KUBEFLOW_NAMESPACE = os.environ.get("KUBEFLOW_NAMESPACE", "")
RUNS = os.environ.get("CLUSTER_RUNS") or KUBEFLOW_NAMESPACE or "kubeflow"
"""The namespace in which the pods of Kubeflow's runs are."""
IMAGES = os.environ.get("CLUSTER_IMAGES") or "labs-{}:dev"
TRAINING_IMAGE = os.environ.get("CLUSTER_TRAINING_IMAGE") or IMAGES.format("training")
DATA_REMOTE = os.environ.get("CLUSTER_DATA_REMOTE", "")
STORE = os.environ.get("CLUSTER_STORE", "")
CLAIM = os.environ.get("CLUSTER_CLAIM", "")
PINNED = "@sha256:" in TRAINING_IMAGE


def connection() -> Connection:
    return Connection(KUBEFLOW_HOST, KUBEFLOW_NAMESPACE, os.environ.get("KUBEFLOW_TOKEN", ""))


def small(lab: str) -> list[str]:
    """Assignments that make a run of a lab small: those of `make smoke`."""
    dataset = find(lab).dataset
    blocks = {f"datasets.{dataset}": SMOKE["datasets"][dataset], lab: SMOKE[lab]}
    return [assignment for name, values in blocks.items() for assignment in _flat(name, values)]


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}.{name}", value)
        else:
            yield f"{prefix}.{name}={json.dumps(value)}"

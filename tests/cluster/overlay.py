"""The overlays in a namespace of the suite's own, with the images that it was told."""

from __future__ import annotations

import copy
import json
import secrets
from typing import Any

from tests.cluster.kubectl import secret
from tests.cluster.options import IMAGES
from tests.infra.manifests import objects

LABS = "labs"
"""The namespace that the manifests name."""
ADMIN = "admin"
READER = "reader"


def in_namespace(overlay: str, name: str) -> list[dict[str, Any]]:
    """Every object of an overlay as it is for another namespace."""
    found = [_moved(copy.deepcopy(one), name) for one in objects(overlay)]
    return sorted(found, key=lambda one: str(one["kind"]) != "Namespace")


def _moved(one: dict[str, Any], name: str) -> dict[str, Any]:
    if one["kind"] == "Namespace":
        one["metadata"]["name"] = name
        # A cluster that is older than the manifests' version would refuse it.
        one["metadata"]["labels"].pop("pod-security.kubernetes.io/enforce-version", None)
    else:
        one["metadata"]["namespace"] = name
    for subject in one.get("subjects", ()):
        if subject.get("namespace") == LABS:
            subject["namespace"] = name
    if one["kind"] == "ConfigMap" and "HOSTS" in one.get("data", {}):
        one["data"]["HOSTS"] = one["data"]["HOSTS"].replace(f"tracking.{LABS}", f"tracking.{name}")
    for container in _containers(one):
        image = container["image"]
        if image.startswith("labs-") and image.endswith(":dev"):
            container["image"] = IMAGES.format(image.removeprefix("labs-").removesuffix(":dev"))
    return one


def _containers(one: dict[str, Any]) -> list[dict[str, Any]]:
    template = one.get("spec", {}).get("template", {}) if one["kind"] != "ServiceMonitor" else {}
    pod = template.get("spec", {})
    return [*pod.get("initContainers", ()), *pod.get("containers", ())]


class Passwords:
    """The secrets of a local overlay, chosen anew."""

    def __init__(self) -> None:
        self.admin, self.reader = secrets.token_hex(16), secrets.token_hex(16)
        self._database, self._key, self._store = secrets.token_hex(16), "labs", secrets.token_hex(16)

    def as_secrets(self, name: str) -> list[dict[str, Any]]:
        sql = f"postgresql://postgres:{self._database}@database"
        identity = {
            "name": "labs",
            "credentials": [{"accessKey": self._key, "secretKey": self._store}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        tracking = {
            "MLFLOW_BACKEND_STORE_URI": f"{sql}/runs",
            "AUTH_DATABASE_URI": f"{sql}/users",
            "AWS_ACCESS_KEY_ID": self._key,
            "AWS_SECRET_ACCESS_KEY": self._store,
            "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.admin,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
        }
        return [
            secret("database", name, {"POSTGRES_PASSWORD": self._database}),
            secret("store", name, {"store.json": json.dumps({"identities": [identity]})}),
            secret("tracking", name, tracking),
            secret("tracking-reader", name, {"username": READER, "password": self.reader}),
        ]

"""Bundles as somebody forges them: every hash fits, and only the signature is missing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from components.bundle import MANIFEST, _digest, _hash


def resealed(manifest: dict[str, Any], name: str, content: bytes) -> dict[str, bytes]:
    """The manifest after a file of the bundle, or the manifest itself, was changed."""
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        made = json.loads(content) if name == MANIFEST else manifest
        for graph in made["graphs"].values():
            if graph["file"] == name:
                graph["sha256"] = sha256
        if name in made["files"]:
            made["files"][name] = sha256
        made["digest"] = _digest(made)
        made["checksum"] = _hash({key: value for key, value in made.items() if key != "checksum"})
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}  # it is no manifest any more
    return {MANIFEST: json.dumps(made).encode()}

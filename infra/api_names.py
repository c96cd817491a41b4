"""What images, manifests and the deploy command call a lab that is served. `components.apis` says which there are."""

from __future__ import annotations


def resource_name(lab: str) -> str:
    """A lab's name as Kubernetes allows it in the names of objects."""
    return lab.replace("_", "-")


def deployment_name(lab: str, canary: bool = False) -> str:
    """A lab's Deployment: each lab that is served has its own, because a pod serves one model; so has its canary."""
    return f"{resource_name(lab)}-canary-api" if canary else f"{resource_name(lab)}-api"

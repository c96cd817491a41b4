"""Writes the Kubernetes manifests: `python -m infra.manifests`, or `make manifests`.

kustomize does the rendering, inside kubectl. What it cannot do is take the labs that have an API from the code: so each
lab's component is written here first, and an overlay names the labs that it runs, one line each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from components.apis import served_labs
from components.errors import UserError
from components.files import write_text
from infra.api_names import deployment_name, resource_name

K8S = Path(__file__).resolve().parent / "k8s"
MADE = "# Made by `make manifests`: change infra/manifests.py, or `api` of the lab.\n"


def write_components(k8s: Path = K8S) -> None:
    """Writes labs/<lab>, and labs/<lab>/canary, for every lab that has an API: components for overlays to name."""
    for lab, api in served_labs().items():
        folder = k8s / "labs" / lab
        write_text(folder / "kustomization.yaml", _component(lab))
        write_text(folder / "api" / "kustomization.yaml", _named(lab, api))
        write_text(folder / "canary" / "kustomization.yaml", _canary(lab))
        write_text(folder / "canary" / "api" / "kustomization.yaml", _named(lab, api, canary=True))


def overlays(k8s: Path = K8S) -> list[str]:
    return sorted(path.name for path in (k8s / "overlays").iterdir())


def render(folder: Path) -> str:
    """What kustomize makes of a folder. Raises UserError where there is no kubectl, or kustomize refuses."""
    command = ["kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError("kubectl is not installed here: it renders the manifests") from None
    if done.returncode != 0:
        raise UserError(f"kubectl kustomize {folder}: {' '.join(done.stderr.split())[:500]}")
    return done.stdout


def _component(lab: str) -> str:
    """Adds the lab's API to an overlay, and its Deployment to those that a deployer may move."""
    return f"""{MADE}apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources: [api]
patches:
  - target: {{kind: Role, name: deployer}}
    patch: '{_may_be_moved(deployment_name(lab))}'
"""


def _canary(lab: str) -> str:
    """Adds the lab's canary to an overlay that has its API. The API's Service then takes the pods of both."""
    both = json.dumps([{"op": "remove", "path": "/spec/selector/labs~1kind"}])
    return f"""{MADE}apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources: [api]
patches:
  - target: {{kind: Role, name: deployer}}
    patch: '{_may_be_moved(deployment_name(lab, canary=True))}'
  - target: {{kind: Service, name: {deployment_name(lab)}}}
    patch: '{both}'
"""


def _may_be_moved(deployment: str) -> str:
    return json.dumps([{"op": "add", "path": "/rules/0/resourceNames/-", "value": deployment}])


def _named(lab: str, api: str, canary: bool = False) -> str:
    """The template of every API under the lab's name, with the image of the API that serves it."""
    name = resource_name(lab)
    return f"""{MADE}apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namePrefix: {name}-{"canary-" if canary else ""}
labels:
  - pairs: {{app.kubernetes.io/name: {name}, app.kubernetes.io/part-of: labs, labs/lab: {lab}}}
    includeSelectors: true
resources: [{"../../../../canary" if canary else "../../../api"}]
images:
  - {{name: labs-api, newName: labs-{api}, newTag: dev}}
"""


def main(
    output: Annotated[Path, typer.Option(help="Folder of the rendered overlays.")] = K8S / "rendered",
) -> None:
    """Writes the labs' components, and every overlay as one file for `kubectl apply -f`."""
    write_components()
    try:
        for overlay in overlays():
            file = output / f"{overlay}.yaml"
            write_text(file, render(K8S / "overlays" / overlay))
            typer.echo(str(file))
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    typer.run(main)

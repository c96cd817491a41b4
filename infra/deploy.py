"""Brings a promoted model into a running API: `python -m infra.deploy music`, and `--back` to the one before.

Which model an API serves is one annotation of its Deployment's pods, the model's digest: the pods that are made anew
fetch it from the registry and check it. This moves the annotation, waits until every pod serves the new model, and
moves it back if they do not. Kubernetes never takes an old pod away before a new one is ready.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from components.errors import UserError
from components.labs import LABS, find

if TYPE_CHECKING:
    from kubernetes.client import AppsV1Api

log = logging.getLogger(__name__)

DIGEST = "labs/model-digest"
PREVIOUS = "labs/previous-model-digest"
POLL_SECONDS = 2.0


class State(NamedTuple):
    """A Deployment's, as far as models go. digest, previous: "" when there is none."""

    digest: str
    previous: str
    version: str
    done: bool
    failure: str


def champion_digest(lab: str) -> str:
    """Of the registry's champion. Raises UserError when there is none; MlflowError on an outage."""
    from components.tracking.mlflow_client import connect
    from components.tracking.registry import champion_version

    version = champion_version(connect(), lab)
    if version is None:
        raise UserError(f"{lab} has no champion to deploy: `make repro LAB={lab}` makes one")
    return str(version.tags["model_digest"])


def deploy(apps: AppsV1Api, namespace: str, lab: str, digest: str, seconds: float) -> None:
    """Rolls the API of a lab to a model; back again when it is not served by every pod within `seconds`.

    Raises UserError when it went back, or when Kubernetes refuses.
    """
    before = read(apps, namespace, lab)
    if before.digest == digest and before.done:
        log.info("%s serves %s already", lab, digest)
        return
    _move(apps, namespace, lab, digest, before)
    failure = _wait(apps, namespace, lab, seconds)
    if not failure:
        log.info("%s serves %s (before: %s)", lab, digest, before.digest or "nothing")
        return
    if not before.digest or before.digest == digest:
        raise UserError(f"{lab} does not serve {digest}: {failure}; `kubectl -n {namespace} get pods` says more")
    _move(apps, namespace, lab, before.digest, read(apps, namespace, lab))
    again = _wait(apps, namespace, lab, seconds)
    state = f"which failed too: {again}" if again else "which is served"
    raise UserError(f"{lab} did not take {digest}: {failure}; went back to {before.digest}, {state}")


def read(apps: AppsV1Api, namespace: str, lab: str) -> State:
    found = _ask(apps.read_namespaced_deployment, _name(lab), namespace)
    template = found.spec.template.metadata.annotations or {}
    own = found.metadata.annotations or {}
    status, wanted = found.status, found.spec.replicas
    current = (status.observed_generation or 0) >= found.metadata.generation
    counts = (status.updated_replicas or 0, status.available_replicas or 0, status.replicas or 0)
    failures = [
        condition.message or condition.reason
        for condition in status.conditions or ()
        if current and condition.type == "Progressing" and condition.status == "False"
    ]
    return State(
        digest=template.get(DIGEST, ""),
        previous=own.get(PREVIOUS, ""),
        version=found.metadata.resource_version,
        done=current and counts == (wanted, wanted, wanted),
        failure=failures[0] if failures else "",
    )


def _move(apps: AppsV1Api, namespace: str, lab: str, digest: str, seen: State) -> None:
    """Refused (409) when somebody changed the Deployment since it was seen."""
    patch: dict[str, Any] = {
        "metadata": {"annotations": {PREVIOUS: seen.digest}, "resourceVersion": seen.version},
        "spec": {"template": {"metadata": {"annotations": {DIGEST: digest}}}},
    }
    _ask(apps.patch_namespaced_deployment, _name(lab), namespace, patch)


def _wait(apps: AppsV1Api, namespace: str, lab: str, seconds: float) -> str:
    """Why the rollout failed; "" when every pod serves the model."""
    deadline = time.monotonic() + seconds
    while True:
        state = read(apps, namespace, lab)
        if state.done or state.failure:
            return state.failure
        if time.monotonic() > deadline:
            return f"not every pod was ready within {seconds:g} s"
        time.sleep(POLL_SECONDS)


def _name(lab: str) -> str:
    return f"{lab}-api"


def _ask(call: Any, *arguments: Any) -> Any:
    """One request to Kubernetes. Raises UserError in one line."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        return call(*arguments, _request_timeout=30)
    except ApiException as error:
        meanings = {
            401: "it does not know you: log in again",
            403: "you may not: bind the role `deployer` to your group",
            404: "there is no such Deployment: apply infra/k8s first, and look at --namespace",
            409: "somebody changed it at the same moment: run this again",
        }
        meaning = meanings.get(error.status, str(error.reason))
        raise UserError(
            f"Kubernetes, Deployment {arguments[0]} in {arguments[1]}: {meaning} ({error.status})"
        ) from None
    except (HTTPError, OSError) as error:
        raise UserError(f"Kubernetes cannot be reached: {' '.join(str(error).split())[:200]}") from None


def client(context: str | None) -> AppsV1Api:
    """Of kubectl's configuration, or of the pod this runs in. Raises UserError."""
    from kubernetes import config
    from kubernetes.client import ApiClient, AppsV1Api, Configuration

    configuration = Configuration()
    try:
        if context is None:
            config.load_config(client_configuration=configuration)
        else:
            config.load_kube_config(context=context, client_configuration=configuration)
    except config.ConfigException as error:
        raise UserError(f"no cluster is configured: {error}") from None
    configuration.retries = 2
    return AppsV1Api(ApiClient(configuration))


def main(
    lab: Annotated[str, typer.Argument(metavar="LAB", help=f"One of: {', '.join(LABS)}.")],
    digest: Annotated[str | None, typer.Option(help="This model instead of the registry's champion.")] = None,
    back: Annotated[bool, typer.Option("--back", help="The model that was served before this one.")] = False,
    namespace: Annotated[str, typer.Option(help="Where the API is.")] = "labs",
    context: Annotated[str | None, typer.Option(help="Of kubectl's configuration; by default its current one.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Time for every pod to serve it; then it goes back.")] = 600,
) -> None:
    """Rolls a running API to the champion, or to the model before it."""
    logging.basicConfig(level="WARNING", format="%(message)s", stream=sys.stderr)
    log.setLevel("INFO")
    logging.getLogger("urllib3").setLevel("ERROR")  # it announces every repetition
    try:
        name = find(lab).name
        apps = client(context)
        if back:
            digest = read(apps, namespace, name).previous
            if not digest:
                raise UserError(f"{name} has served no other model yet: there is nothing to go back to")
        digest = digest or champion_digest(name)
        if re.fullmatch("[0-9a-f]{64}", digest) is None:
            raise UserError(f"'{digest}' is no model's digest: 64 hexadecimal digits")
        deploy(apps, namespace, name, digest, seconds)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    typer.run(main)

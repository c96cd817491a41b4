"""Brings a promoted model into a running API: `python -m infra.deploy music`, and `--back` to the one before.

Which model an API serves is one annotation of its Deployment's pods, the model's digest: the pods that are made anew
fetch it from the registry and check it. This command moves the annotation, waits until every pod serves the new model,
and moves it back if they do not. Kubernetes never takes an old pod away before a new one is ready. Two annotations of
the Deployment itself remember which model every pod served last, and which one before that.
"""

from __future__ import annotations

import logging
import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import typer

from components.apis import served_labs
from components.errors import UserError
from components.redaction import configure_logging
from infra.api_names import deployment_name
from infra.pods import Cluster, ask, pods_say

log = logging.getLogger(__name__)

DIGEST = "labs/model-digest"
ROLLED_OUT = "labs/rolled-out-at"
"""Time of a rollout, also on its pods. A new one makes new pods for the digest that they have; an old one finds its old
pods."""
SERVED = "labs/served-model-digest"
SERVED_SINCE = "labs/served-rolled-out-at"
PREVIOUS = "labs/previous-model-digest"
POLL_SECONDS = 2.0
CONFLICTS = 5


class Failure(NamedTuple):
    """Why Kubernetes gave a rollout up, and when it said so."""

    reason: str
    time: str


class State(NamedTuple):
    """A Deployment's, as far as models go.

    digest, rolled_out: what its pods are told to serve, and since when. served, served_since: the same of what every
    pod served last; previous: what every pod served before that. Each is "" when there is none. noted: the Deployment's
    annotations say so. done: every pod serves `digest`. failure: of the last rollout.
    """

    digest: str
    rolled_out: str
    served: str
    served_since: str
    previous: str
    noted: bool
    version: str
    done: bool
    failure: Failure | None

    @property
    def before(self) -> str:
        """The model that `--back` goes to: the one served before, or, after an unfinished rollout, the one served."""
        return self.previous if self.digest == self.served else self.served


def champion_digest(lab: str) -> str:
    """The digest of the registry's champion. Raises UserError when there is none; MlflowError on an outage."""
    from components.tracking.mlflow_client import connect
    from components.tracking.registry import champion_version

    version = champion_version(connect(), lab)
    if version is None:
        raise UserError(f"{lab} has no champion to deploy: `make repro LAB={lab}` makes one")
    return str(version.tags["model_digest"])


def deploy(cluster: Cluster, lab: str, digest: str, seconds: float) -> None:
    """Rolls the API of a lab to a model; back again when not every pod serves it within `seconds`.

    A model whose last rollout failed is tried again with new pods. Raises UserError when it went back, or when
    Kubernetes refuses.
    """
    before = read(cluster, lab)
    if before.digest == digest and before.done:
        _remember(cluster, lab, before)
        log.info("%s serves %s already", cluster.called(lab), digest)
        return
    failure = _roll(cluster, lab, digest, before, seconds)
    if not failure:
        _remember(cluster, lab, read(cluster, lab))
        log.info("%s serves %s (before: %s)", cluster.called(lab), digest, before.served or "nothing")
        return
    if before.served in ("", digest):
        raise UserError(f"{cluster.called(lab)} does not serve {digest}: {failure}")
    again = _roll(cluster, lab, before.served, read(cluster, lab), seconds)
    state = f"which failed too: {again}" if again else "which is served"
    raise UserError(f"{cluster.called(lab)} did not take {digest}: {failure}; went back to {before.served}, {state}")


def read(cluster: Cluster, lab: str) -> State:
    found = _deployment(cluster, lab)
    template = found.spec.template.metadata.annotations or {}
    own = found.metadata.annotations or {}
    status, wanted = found.status, found.spec.replicas
    current = (status.observed_generation or 0) >= found.metadata.generation
    counts = (status.updated_replicas or 0, status.available_replicas or 0, status.replicas or 0)
    done = current and counts == (wanted, wanted, wanted)
    failures = [
        Failure(condition.message or condition.reason, str(condition.last_update_time))
        for condition in status.conditions or ()
        if current and condition.type == "Progressing" and condition.status == "False"
    ]
    digest, rolled_out = template.get(DIGEST, ""), template.get(ROLLED_OUT, "")
    noted = own.get(SERVED, ""), own.get(SERVED_SINCE, ""), own.get(PREVIOUS, "")
    served, since, previous = noted
    if done:  # which a deploy that was interrupted could not write down
        previous = served or previous if digest != served else previous
        served, since = digest, rolled_out
    return State(
        digest=digest,
        rolled_out=rolled_out,
        served=served,
        served_since=since,
        previous=previous,
        noted=noted == (served, since, previous),
        version=found.metadata.resource_version,
        done=done,
        failure=failures[0] if failures else None,
    )


def _roll(cluster: Cluster, lab: str, digest: str, seen: State, seconds: float) -> str:
    """Moves the pods to a model. Returns why that failed, "" when every pod serves it.

    The pods of the model that is served are still there during a rollout that fails: it goes back to those.
    """
    time_of_move = datetime.now(UTC).isoformat(timespec="milliseconds")
    if seen.digest != digest == seen.served:
        time_of_move = seen.served_since
    _move(cluster, lab, digest, time_of_move, seen)
    return _wait(cluster, lab, time_of_move, seconds, seen.failure)


def _move(cluster: Cluster, lab: str, digest: str, time_of_move: str, seen: State) -> None:
    """Tells the pods to serve `digest`. Raises UserError when somebody moved the digest since it was seen."""
    annotations = {DIGEST: digest, ROLLED_OUT: time_of_move or None}
    for attempt in range(CONFLICTS):
        patch: dict[str, Any] = {
            "metadata": {"annotations": _memory(seen), "resourceVersion": seen.version},
            "spec": {"template": {"metadata": {"annotations": annotations}}},
        }
        try:
            _patch(cluster, lab, patch)
        except ConflictError:
            # Every change of a pod's state makes a new version of the Deployment: only the digest decides.
            now_seen = read(cluster, lab)
            if now_seen.digest != seen.digest or attempt == CONFLICTS - 1:
                raise
            seen = now_seen
        else:
            return


def _remember(cluster: Cluster, lab: str, state: State) -> None:
    """Writes down what every pod serves now, and what they served before."""
    if not state.noted:
        _patch(cluster, lab, {"metadata": {"annotations": _memory(state)}})


def _memory(state: State) -> dict[str, str]:
    return {SERVED: state.served, SERVED_SINCE: state.served_since, PREVIOUS: state.previous}


def _wait(cluster: Cluster, lab: str, time_of_move: str, seconds: float, old: Failure | None) -> str:
    """Why the rollout failed, with what its pods say; "" when every pod serves the model.

    time_of_move: which the pods of this rollout carry. old: the failure of an earlier rollout, which Kubernetes goes on
    reporting until it has looked at the new one.
    """
    deadline = time.monotonic() + seconds
    said = ""
    while True:
        state = read(cluster, lab)
        if state.done:
            return ""
        words = pods_say(cluster, lab, ROLLED_OUT, time_of_move)
        if words and words != said:
            said = words
            log.info("%s: %s", cluster.called(lab), words)
        failure = state.failure.reason if state.failure and state.failure != old else ""
        if not failure and time.monotonic() > deadline:
            failure = f"not every pod was ready within {seconds:g} s"
        if failure:
            more = f"`kubectl -n {cluster.namespace} describe pods -l labs/lab={lab}` says more"
            return f"{failure}: {said or more}"
        time.sleep(POLL_SECONDS)


class ConflictError(UserError):
    """Somebody changed the Deployment since it was read."""


def _deployment(cluster: Cluster, lab: str) -> Any:
    return _asked(cluster.apps.read_namespaced_deployment, cluster, lab)


def _patch(cluster: Cluster, lab: str, patch: dict[str, Any]) -> None:
    _asked(cluster.apps.patch_namespaced_deployment, cluster, lab, patch)


def _asked(call: Any, cluster: Cluster, lab: str, *arguments: Any) -> Any:
    name = deployment_name(lab, cluster.canary)
    meanings = {
        404: (UserError, "there is no such Deployment: apply infra/k8s first, and look at --namespace"),
        409: (ConflictError, "somebody changed it at the same moment: run this again"),
    }
    return ask(f"Deployment {name} in {cluster.namespace}", meanings, call, name, cluster.namespace, *arguments)


def main(
    lab: Annotated[str, typer.Argument(metavar="LAB", help=f"One of: {', '.join(served_labs())}.")],
    digest: Annotated[str | None, typer.Option(help="This model instead of the registry's champion.")] = None,
    back: Annotated[bool, typer.Option("--back", help="The model that was served before this one.")] = False,
    namespace: Annotated[str, typer.Option(help="Where the API is.")] = "labs",
    context: Annotated[str | None, typer.Option(help="Of kubectl's configuration; by default its current one.")] = None,
    canary: Annotated[
        bool, typer.Option("--canary", help="The lab's canary, which answers a share of requests.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Time for every pod to serve it; then it goes back.")] = 600,
) -> None:
    """Rolls a running API to the champion, or to the model before it."""
    from components.apis import api_of

    configure_logging("%(message)s")
    log.setLevel("INFO")
    # It announces every repetition; Kubernetes' client sets the level of urllib3 itself.
    logging.getLogger("urllib3.connectionpool").setLevel("ERROR")
    try:
        api_of(lab)
        cluster = Cluster.connect(context, namespace, canary)
        if back:
            digest = read(cluster, lab).before
            if not digest:
                raise UserError(f"{lab} has served no other model yet: there is nothing to go back to")
        digest = digest or champion_digest(lab)
        if re.fullmatch("[0-9a-f]{64}", digest) is None:
            raise UserError(f"'{digest}' is no model's digest: 64 hexadecimal digits")
        deploy(cluster, lab, digest, seconds)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    typer.run(main)

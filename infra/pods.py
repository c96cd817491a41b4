"""A Kubernetes cluster, and what the pods of a rollout say for themselves when it does not succeed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.errors import UserError

if TYPE_CHECKING:
    from kubernetes.client import AppsV1Api, CoreV1Api

STARTING = ("PodInitializing", "ContainerCreating")
"""Reasons to wait that say nothing is wrong."""
LOG_LINES = 20
"""Lines of a container's log that are read; the last one with words is shown."""

Meanings = Mapping[int, tuple[type[UserError], str]]
"""HTTP status -> the error that it means, and its words."""
EVERYWHERE: Meanings = {
    401: (UserError, "it does not know you: log in again"),
    403: (UserError, "you may not: bind the role `deployer` to your group"),
}


@dataclass(frozen=True)
class Cluster:
    """A namespace of a cluster, and the two parts of its API that a rollout needs.

    canary: a lab's canary is meant, not its API.
    """

    apps: AppsV1Api
    core: CoreV1Api
    namespace: str
    canary: bool = False

    @classmethod
    def connect(cls, context: str | None, namespace: str, canary: bool = False) -> Cluster:
        """The cluster of kubectl's configuration, or of the pod this runs in. Raises UserError."""
        from kubernetes import config
        from kubernetes.client import ApiClient, AppsV1Api, Configuration, CoreV1Api

        configuration = Configuration()
        try:
            if context is None:
                config.load_config(client_configuration=configuration)
            else:
                config.load_kube_config(context=context, client_configuration=configuration)
        except config.ConfigException as error:
            raise UserError(f"no cluster is configured: {error}") from None
        configuration.retries = 2
        client = ApiClient(configuration)
        return cls(AppsV1Api(client), CoreV1Api(client), namespace, canary)

    def called(self, lab: str) -> str:
        return f"the canary of {lab}" if self.canary else lab


def ask(what: str, meanings: Meanings, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """One request to Kubernetes about `what`. Raises UserError in one line, as `meanings` says."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        return call(*arguments, **options, _request_timeout=30)
    except ApiException as error:
        kind, meaning = {**EVERYWHERE, **meanings}.get(error.status, (UserError, str(error.reason)))
        raise kind(f"Kubernetes, {what}: {meaning} ({error.status})") from None
    except (HTTPError, OSError) as error:
        raise UserError(f"Kubernetes cannot be reached: {' '.join(str(error).split())[:200]}") from None


def pods_say(cluster: Cluster, lab: str, annotation: str, value: str) -> str:
    """What keeps the pods of a lab's API that carry an annotation from being ready; "" where nothing is known.

    Whoever may not read pods learns that in place of it.
    """
    try:
        selector = f"labs/lab={lab}"
        pods = ask("pods", {}, cluster.core.list_namespaced_pod, cluster.namespace, label_selector=selector).items
    except UserError as error:
        return str(error)
    ours = [pod for pod in pods if (pod.metadata.annotations or {}).get(annotation) == value]
    return "; ".join(dict.fromkeys(words for pod in ours for words in _obstacles(cluster, pod)))


def _obstacles(cluster: Cluster, pod: Any) -> Iterator[str]:
    for condition in pod.status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            yield f"no node takes the pod: {condition.message or condition.reason}"
    statuses = [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]
    for status in statuses:
        waiting = status.state.waiting if status.state else None
        ended = (status.state.terminated if status.state else None) or (
            status.last_state.terminated if status.last_state else None
        )
        if ended and ended.exit_code and not status.ready:
            reason = f"{ended.reason or 'Error'}, exit code {ended.exit_code}"
            yield f"container {status.name} ended ({reason}): {_last_line(cluster, pod, status.name)}"
        elif waiting and waiting.reason not in (None, *STARTING):
            yield f"container {status.name} waits ({waiting.reason}): {waiting.message or 'no more is known'}"


def _last_line(cluster: Cluster, pod: Any, container: str) -> str:
    try:
        text = ask(
            "the log of a pod",
            {},
            cluster.core.read_namespaced_pod_log,
            pod.metadata.name,
            cluster.namespace,
            container=container,
            tail_lines=LOG_LINES,
        )
    except UserError as error:
        return str(error)
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "its log is empty"

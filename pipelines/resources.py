"""How a task is placed on a cluster: image, resources, retries, time, identity, memory. All from params.yaml."""

from __future__ import annotations

from collections.abc import Mapping

from kfp import dsl, kubernetes

from components.signing_keys import PRIVATE
from pipelines.config import Backoff, Needs, Pipelines, Signing

RUN_LABEL = "metadata.labels['pipeline/runid']"
"""Where a pod says which run of Kubeflow it belongs to."""
UNCACHED = ("open_run", "audit", "gate", "promote", "close_run")
"""What they do is an effect, or depends on the champion, which no input names."""
CHECKPOINTS = "/checkpoints"
SIGNING_KEY, SIGNING_KEYS = "/signing-key", "/signing-keys"
VERIFYING = ("gate", "promote")
"""Tasks that read what the champion's promotion said of it."""
PENDING_SECONDS = 6 * 3600
"""What a pod may wait for a node before each attempt without being out of time."""


def placed(task: dsl.PipelineTask, name: str, cluster: Pipelines, environment: Mapping[str, str]) -> dsl.PipelineTask:
    """Sets what the section `pipelines` says of the task `name`.

    environment: variables that take the place of the section's. A local run names its MLflow run there; on a cluster
    a run takes the id that Kubeflow gave it, from its pod: as an input it would make every run a cache miss.
    """
    needs = cluster.needs(name)
    task.set_container_image(cluster.image)
    for variable, value in {**cluster.environment, **environment}.items():
        task.set_env_variable(variable, value)
    if "REPRO_RUN" not in environment:
        kubernetes.use_field_path_as_env(task, "REPRO_RUN", RUN_LABEL)
    if name in UNCACHED or not cluster.cached:
        task.set_caching_options(False)
    _resources(task, needs, cluster)
    if needs.retries:
        backoff = cluster.backoff
        task.set_retry(needs.retries, f"{backoff.first}s", backoff.factor, f"{_retry_window(needs, backoff)}s")
    kubernetes.set_timeout(task, needs.minutes * 60)
    kubernetes.set_security_context(task, run_as_user=cluster.user, run_as_group=cluster.user, run_as_non_root=True)
    kubernetes.empty_dir_mount(task, "scratch", "/tmp", size_limit=cluster.scratch)  # noqa: S108 - a mount of its own
    kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit=cluster.shared_memory)  # noqa: S108
    for secret in cluster.secrets:
        kubernetes.use_secret_as_env(task, secret.name, dict(secret.variables))
    if "SIGNING_KEY" not in environment:
        _signing(task, name, cluster.signing)
    if name == "train" and cluster.checkpoints:
        kubernetes.mount_pvc(task, cluster.checkpoints, CHECKPOINTS)
        task.set_env_variable("CHECKPOINTS", CHECKPOINTS)
    return task


def _signing(task: dsl.PipelineTask, name: str, signing: Signing) -> None:
    if name == "promote" and signing.secret:
        kubernetes.use_secret_as_volume(task, signing.secret, SIGNING_KEY)
        task.set_env_variable("SIGNING_KEY", f"{SIGNING_KEY}/{PRIVATE}")
    if name in VERIFYING and signing.public_keys:
        kubernetes.use_config_map_as_volume(task, signing.public_keys, SIGNING_KEYS)
        task.set_env_variable("SIGNING_PUBLIC_KEYS", SIGNING_KEYS)


def _retry_window(needs: Needs, backoff: Backoff) -> int:
    """Seconds from a task's first start in which it may be tried again: all attempts in full, and the waits between.

    Kubeflow calls it the longest backoff and takes an hour by default. For Argo it is the end of all attempts: a
    training that fails after it is not tried again, and one that still runs then is stopped.
    """
    waits = sum(int(backoff.first * backoff.factor**number) for number in range(needs.retries))
    return (needs.retries + 1) * (needs.minutes * 60 + PENDING_SECONDS) + waits


def _resources(task: dsl.PipelineTask, needs: Needs, cluster: Pipelines) -> None:
    # No limit of cores: it would only keep a task from those that are idle.
    task.set_cpu_request(needs.cpu)
    task.set_memory_request(needs.memory).set_memory_limit(needs.memory)
    if needs.gpus:
        task.set_accelerator_type(needs.gpu).set_accelerator_limit(needs.gpus)
        for toleration in cluster.tolerations:
            kubernetes.add_toleration(task, **toleration.model_dump())
        for label, value in cluster.node_selector.items():
            kubernetes.add_node_selector(task, label, value)

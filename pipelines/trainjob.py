"""Training on several machines: a TrainJob of Kubeflow Trainer, made, followed and cleared away by one task.

The machines and the task share a folder, a ReadWriteMany volume. It is the project's root of the training, so that
each process runs `python -m components train <lab>` as on a laptop, started by torchrun; what it leaves there the
task takes over. The folder is named after the run: a task that is tried again goes on from the last checkpoint.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import UserError, one_line
from components.labs import find
from components.settings import settings
from components.sources.catalogue import raw_folder
from components.sources.pin import PIN
from components.sources.version import bring_weights
from pipelines.config import Pipelines, resource_name
from pipelines.workspace import BUILD, PARAMS, Data, Sections, land, project, whole

if TYPE_CHECKING:
    from kfp.dsl import Artifact
    from kubernetes.client import ApiClient

log = logging.getLogger(__name__)

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
SHARED = "/shared"
"""Where the volume is, in the task and on every machine."""
NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
NODE = "node"
"""What the runtime torch-distributed calls its replicated job, and the container in it."""
COMMAND = 'cd "$1" && exec torchrun -m components train "$2"'


def options(cluster: Pipelines) -> dict[str, Any]:
    """What of the section `pipelines` makes the job, as an argument of the task: the section itself stays here."""
    return cluster.model_dump(mode="json", exclude_none=True)


def train_together(lab: str, sections: Sections, job: Mapping[str, Any], prepared: Artifact, trained: Artifact) -> Path:
    """Trains on the machines that `job` asks for; returns the output of the step train, moved to `trained`.

    job: what `options` gave. A job that fails ends this process with one line; its checkpoints stay for another try.
    """
    from kubernetes import client, config

    cluster = Pipelines.model_validate_json(json.dumps(whole(job)))
    data, run = Data.of(prepared), settings().repro_run or ""
    root = Path(SHARED) / run
    with project(data, lab, sections):
        weights = find(lab).pretrained
        bring_weights(Path(), weights)
        laid_out(root, data.dataset, Path(prepared.path), weights)
        config.load_incluster_config()
        namespace = NAMESPACE.read_text(encoding="utf-8").strip()
        manifest = trainjob(f"{resource_name(lab)}-{run[:8]}", lab, str(root), run, cluster)
        TrainJobs(client.ApiClient(), namespace, cluster.distributed.poll_seconds).run(manifest)
        folder = land(root / BUILD / lab / "train", trained.path)
    data.carried_by(trained)
    shutil.rmtree(root)
    return folder


def laid_out(root: Path, dataset: str, prepared: Path, weights: Sequence[str] = ()) -> None:
    """Makes `root` a project's root of one training, out of the working directory; its checkpoints stay."""
    folders = {BUILD / dataset / "prepare": prepared}
    folders |= {folder: folder for folder in (raw_folder(name, "course") for name in weights)}
    for target, source in folders.items():
        shutil.rmtree(root / target, ignore_errors=True)
        shutil.copytree(source, root / target)
    for name in (PARAMS, PIN):
        shutil.copyfile(name, root / name)


def trainjob(name: str, lab: str, folder: str, run: str, cluster: Pipelines) -> dict[str, Any]:
    """The object: `nodes` machines, on each torchrun with `processes`, in `folder` of the shared volume."""
    needs, distributed = cluster.needs("train"), cluster.distributed
    resources = {"cpu": needs.cpu, "memory": needs.memory} | ({needs.gpu: str(needs.gpus)} if needs.gpus else {})
    environment = {**cluster.environment, "REPRO_RUN": run, "HOME": "/tmp"}  # noqa: S108 - a mount of its own
    variables: list[dict[str, Any]] = [{"name": key, "value": value} for key, value in environment.items()]
    variables += [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret.name, "key": key}}}
        for secret in cluster.secrets
        for key, variable in secret.variables.items()
    ]
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainJob",
        "metadata": {"name": name, "labels": {"lab": lab, "pipeline/runid": run}},
        "spec": {
            "runtimeRef": {"apiGroup": GROUP, "kind": "ClusterTrainingRuntime", "name": distributed.runtime},
            "activeDeadlineSeconds": needs.minutes * 60,
            "trainer": {
                "image": cluster.image,
                "command": ["sh", "-c", COMMAND, "train", folder, lab],
                "numNodes": cluster.nodes,
                "numProcPerNode": distributed.processes,
                "resourcesPerNode": {"requests": resources, "limits": resources},
                "env": variables,
            },
            "runtimePatches": [{"manager": "labs/train", "trainingRuntimeSpec": _patch(cluster)}],
        },
    }


def _patch(cluster: Pipelines) -> dict[str, Any]:
    """What the runtime's pods have besides: the shared volume, memory to share, no privileges."""
    mounts = {"shared": SHARED, "shm": "/dev/shm", "scratch": "/tmp"}  # noqa: S108
    pod: dict[str, Any] = {
        "volumes": [
            {"name": "shared", "persistentVolumeClaim": {"claimName": cluster.distributed.claim}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": cluster.shared_memory}},
            {"name": "scratch", "emptyDir": {"sizeLimit": cluster.scratch}},
        ],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": cluster.user,
            "runAsGroup": cluster.user,
            "fsGroup": cluster.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": NODE,
                "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }
    if cluster.needs("train").gpus:
        pod["tolerations"] = [toleration.model_dump(exclude_none=True) for toleration in cluster.tolerations]
        pod["nodeSelector"] = dict(cluster.node_selector)
    job = {"name": NODE, "template": {"spec": {"template": {"spec": pod}}}}
    return {"template": {"spec": {"replicatedJobs": [job]}}}


@dataclass
class TrainJobs:
    """TrainJobs of a namespace."""

    api: ApiClient
    namespace: str
    poll_seconds: float
    _shown: dict[str, int] = field(default_factory=dict)

    def run(self, manifest: Mapping[str, Any]) -> None:
        """Makes the job, shows its logs, and deletes it however it ends. Raises UserError when it fails."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        name = manifest["metadata"]["name"]
        try:
            self._delete(name)  # what a task that was killed left behind
            self._jobs.create_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, manifest)
            log.info("TrainJob %s: %d machines", name, manifest["spec"]["trainer"]["numNodes"])
            try:
                self._follow(name)
            finally:
                self._delete(name)
        except ApiException as error:
            said = one_line(error.body or error.reason)
            raise UserError(f"TrainJob {name}: the cluster refused ({error.status}): {said}") from None
        except HTTPError as error:
            raise UserError(f"TrainJob {name}: the cluster went away: {error}") from None

    @property
    def _jobs(self) -> Any:
        from kubernetes.client import CustomObjectsApi

        return CustomObjectsApi(self.api)

    def _follow(self, name: str) -> None:
        while True:
            job = self._jobs.get_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, name)
            self._show_logs(name)
            for condition in job.get("status", {}).get("conditions", []):
                if condition["status"] == "True" and condition["type"] == "Complete":
                    return
                if condition["status"] == "True" and condition["type"] == "Failed":
                    raise UserError(f"TrainJob {name} failed: {condition.get('message') or condition.get('reason')}")
            time.sleep(self.poll_seconds)

    def _show_logs(self, name: str) -> None:
        """What every pod of the job has said since the last look, each line with the pod's name."""
        from kubernetes.client import ApiException, CoreV1Api

        core = CoreV1Api(self.api)
        pods = core.list_namespaced_pod(self.namespace, label_selector=f"jobset.sigs.k8s.io/jobset-name={name}").items
        for pod in pods:
            try:
                lines = core.read_namespaced_pod_log(pod.metadata.name, self.namespace, container=NODE).splitlines()
            except ApiException:  # it has not started yet, or is gone
                continue
            for line in lines[self._shown.get(pod.metadata.name, 0) :]:
                sys.stderr.write(f"{pod.metadata.name}: {line}\n")
            self._shown[pod.metadata.name] = len(lines)

    def _delete(self, name: str) -> None:
        """Deletes the job and waits until it is gone; one that is not there is fine."""
        from kubernetes.client import ApiException

        try:
            self._jobs.delete_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, name)
            while True:
                self._jobs.get_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, name)
                time.sleep(self.poll_seconds)
        except ApiException as error:
            if error.status != 404:
                raise

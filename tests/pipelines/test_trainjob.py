"""Several machines: the object that is made, and a task that makes it, follows it and clears it away."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes as k8s
import pytest
from kfp import dsl
from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob

from components.settings import settings
from pipelines import tasks, trainjob
from pipelines.run_spec import request
from pipelines.workspace import Data
from tests.digits_data import prepared
from tests.pipelines.conftest import read
from tests.pipelines.kubernetes import Kubernetes, kubernetes
from tests.workspace import ONE_THREAD

PROJECT = Path(__file__).resolve().parents[2]
SMALL = [
    "digits.train.model=fully_connected",
    "digits.train.hidden_sizes=[8]",
    "digits.train.max_epochs=1",
    "pipelines.nodes=3",
    "pipelines.distributed.processes=2",
    "pipelines.distributed.poll_seconds=0.05",
    "pipelines.environment={}",
]


def job(*assignments: str) -> dict[str, Any]:
    cluster = request("digits", [*SMALL, *assignments], root=PROJECT).cluster
    return trainjob.trainjob("digits-1", "digits", "/shared/1", "1", cluster)


def test_the_object_has_only_what_the_published_schema_knows() -> None:
    made = job(
        "pipelines.tasks.train={cpu: '8', memory: 64Gi, gpus: 2, minutes: 30, retries: 1}",
        "pipelines.secrets=[{name: mlflow, variables: {password: MLFLOW_TRACKING_PASSWORD}}]",
        "pipelines.node_selector={accelerator: h200}",
    )
    known = TrainerV1alpha1TrainJob.from_dict(made)
    assert known is not None
    assert known.to_dict() == made
    trainer = made["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (3, 2)
    assert trainer["resourcesPerNode"]["limits"] == {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "2"}
    assert trainer["env"][-1]["valueFrom"]["secretKeyRef"] == {"name": "mlflow", "key": "password"}
    (jobs,) = made["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = jobs["template"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"accelerator": "h200"}
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_no_machine_of_it_has_privileges() -> None:
    (jobs,) = job()["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = jobs["template"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubernetes]:
    """A cluster, as the task finds it in its pod: its address, a namespace, a shared folder."""
    with kubernetes() as state:

        def load() -> None:
            k8s.client.Configuration.set_default(k8s.client.Configuration(host=state.host))

        (tmp_path / "namespace").write_text("team")
        monkeypatch.setattr(k8s.config, "load_incluster_config", load)
        monkeypatch.setattr(trainjob, "SHARED", str(tmp_path / "shared"))
        monkeypatch.setattr(trainjob, "NAMESPACE", tmp_path / "namespace")
        monkeypatch.setenv("REPRO_RUN", uuid.uuid4().hex)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        state.environment = {**ONE_THREAD, "PYTHONPATH": str(PROJECT), "PATH": path}
        settings.cache_clear()
        yield state
        k8s.client.Configuration.set_default(None)
        monkeypatch.undo()
        settings.cache_clear()


def train(folder: Path) -> Path:
    """Calls the task, on digits."""
    asked = request("digits", SMALL, root=PROJECT)
    carried = Data("digits", "course", "0" * 32 + ".dir")._asdict()
    given = dsl.Dataset(name="prepared", uri=str(prepared(folder / "prepared", 300)), metadata=carried)
    kinds = (dsl.Model, dsl.HTML, dsl.Metrics)
    outputs = [kind(name=kind.__name__, uri=str(folder / kind.__name__), metadata={}) for kind in kinds]
    options = trainjob.options(asked.cluster)
    tasks.train_together.python_func("digits", asked.arguments()["train"], options, given, *outputs)
    return folder / "Model"


@pytest.mark.slow
def test_the_task_brings_logs_and_model_and_leaves_nothing(
    cluster: Kubernetes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = train(tmp_path)
    assert read(trained / "training.json")["metrics"]["val_loss"] > 0
    assert (trained / "model.ckpt").exists()
    assert "-node-0-0: INFO epoch 1 of 1" in capsys.readouterr().err
    (made,) = cluster.made
    assert made["metadata"]["name"] == f"digits-{settings().repro_run[:8]}"  # type: ignore[index]
    assert cluster.jobs == {}
    assert list((tmp_path / "shared").iterdir()) == []


def test_a_job_that_fails_is_one_line_and_its_checkpoints_stay_for_another_try(
    cluster: Kubernetes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.environment["PATH"] = "/usr/bin:/bin"
    with pytest.raises(SystemExit, match=r"error: TrainJob digits-\w+ failed: exit code 127"):
        train(tmp_path)
    assert "torchrun: not found" in capsys.readouterr().err
    assert cluster.jobs == {}
    (left,) = (tmp_path / "shared").iterdir()
    assert (left / "build" / "digits" / "prepare").is_dir()
    assert not (tmp_path / "Model").exists()

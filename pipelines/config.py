"""The section `pipelines` of params.yaml: where and with what the tasks run. Nothing in it changes a model."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.config import Section

TASKS = (
    "open_run",
    "data",
    "prepare",
    "validate",
    "train",
    "train_together",
    "choose",
    "export",
    "evaluate",
    "audit",
    "gate",
    "promote",
)
"""Tasks whose needs the section may name; the rest take `default`."""


def resource_name(lab: str) -> str:
    """A lab's name as Kubernetes allows it in the names of objects, which runs of its pipeline become."""
    return lab.replace("_", "-")


Memory = Field(pattern=r"^[0-9]+(K|Ki|M|Mi|G|Gi|T|Ti)$", description="bytes, as Kubernetes writes them: 4Gi")


class Needs(Section):
    """What a task asks of the cluster."""

    cpu: str = Field("1", pattern=r"^[0-9]+(\.[0-9]+)?m?$", description="cores set aside for it; it may use idle ones")
    memory: str = Memory
    gpus: int = Field(0, ge=0)
    gpu: str = Field("nvidia.com/gpu", description="the resource that a GPU of the wanted kind is")
    minutes: int = Field(ge=1, description="a task that takes longer is stopped")
    retries: int = Field(ge=0, le=20, description="after a pod that was lost or failed")


class Toleration(Section):
    """A taint that tasks with a GPU put up with, as Kubernetes writes it."""

    key: str
    operator: Literal["Equal", "Exists"] = "Exists"
    value: str | None = None
    effect: Literal["NoExecute", "NoSchedule", "PreferNoSchedule"] | None = None


class Secret(Section):
    """Keys of a Kubernetes Secret that become environment variables."""

    name: str = Field(min_length=1)
    variables: dict[str, str] = Field(min_length=1, description="key of the secret -> environment variable")


class Backoff(Section):
    """Time between two attempts of a task, in seconds."""

    first: int = Field(ge=0)
    factor: float = Field(ge=1)
    longest: int = Field(ge=1)

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.longest < self.first:
            raise ValueError("longest must be at least first")
        return self


class Distributed(Section):
    """How a TrainJob trains, where `nodes` is more than one."""

    runtime: str = Field(min_length=1, description="ClusterTrainingRuntime")
    processes: int = Field(ge=1, description="on each node; GPUs, where there are any")
    claim: str = Field(min_length=1, description="PersistentVolumeClaim, ReadWriteMany, that all nodes share")
    poll_seconds: float = Field(gt=0, description="between two looks at the job")


class Pipelines(Section):
    """Where and with what the tasks run."""

    image: str = Field(min_length=1, description="what every task runs in; outputs are cached only for a digest")
    experiment: str = Field(min_length=1)
    pin: str = Field(description="address of the data's pin that a schedule follows, such as data.dvc of a branch")
    parallel: int = Field(ge=1, description="trainings of a sweep at the same time")
    environment: dict[str, str] = Field(description="variables of every task, such as MLFLOW_TRACKING_URI")
    secrets: tuple[Secret, ...] = ()
    user: int = Field(ge=1, description="uid and gid that tasks run as")
    shared_memory: str = Memory
    scratch: str = Memory
    checkpoints: str = Field(description="PersistentVolumeClaim for training's checkpoints; empty: a retry starts anew")
    tolerations: tuple[Toleration, ...] = ()
    node_selector: dict[str, str] = Field({}, description="labels of the nodes that tasks with a GPU run on")
    backoff: Backoff
    default: Needs
    tasks: dict[str, Needs] = Field({}, description="what tasks need that differ from `default`")
    nodes: int = Field(ge=1, le=64, description="machines that train together; more than one make a TrainJob")
    distributed: Distributed

    @model_validator(mode="after")
    def _names_tasks(self) -> Self:
        for name in self.tasks:
            if name not in TASKS:
                raise ValueError(f"there is no task {name!r}: {', '.join(TASKS)}")
        return self

    @property
    def cached(self) -> bool:
        """Whether outputs may be taken from the cache: a tag says nothing of the code behind it."""
        return "@sha256:" in self.image

    def needs(self, task: str) -> Needs:
        return self.tasks.get(task, self.default)

"""The section `pipelines` of params.yaml: where and with what the tasks run. Nothing in it changes a model."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.config import Section
from components.redaction import redacted

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


Memory = Field(pattern=r"^[0-9]+(K|Ki|M|Mi|G|Gi|T|Ti)$")


class Needs(Section):
    """What a task asks of the cluster."""

    cpu: str = Field("1", pattern=r"^[0-9]+(\.[0-9]+)?m?$")
    memory: str = Memory
    gpus: int = Field(0, ge=0)
    gpu: str = Field("nvidia.com/gpu")
    minutes: int = Field(ge=1)
    retries: int = Field(ge=0, le=20)


class Toleration(Section):
    """A taint that tasks with a GPU put up with, as Kubernetes writes it."""

    key: str
    operator: Literal["Equal", "Exists"] = "Exists"
    value: str | None = None
    effect: Literal["NoExecute", "NoSchedule", "PreferNoSchedule"] | None = None


class Secret(Section):
    """Keys of a Kubernetes Secret that become environment variables."""

    name: str = Field(min_length=1)
    variables: dict[str, str] = Field(min_length=1)


class Signing(Section):
    """What promoted models are signed and verified with; "" where `environment` says it, as of a key service.

    secret: the Secret of the private key, `signing.key`, which the task promote alone gets.
    public_keys: the ConfigMap of the public ones, `*.pub`, of the tasks that verify what was promoted.
    """

    secret: str
    public_keys: str


class Backoff(Section):
    """Time between two attempts of a task: seconds before the second, and how many times longer each next one is.

    Argo reads the factor as a whole number.
    """

    first: int = Field(ge=1)
    factor: int = Field(ge=1)


class Distributed(Section):
    """How a TrainJob trains, where `nodes` is more than one."""

    runtime: str = Field(min_length=1)
    processes: int = Field(ge=1)
    claim: str = Field(min_length=1)
    poll_seconds: float = Field(gt=0)


class Pipelines(Section):
    """Where and with what the tasks run."""

    image: str = Field(min_length=1)
    experiment: str = Field(min_length=1)
    pin: str
    parallel: int = Field(ge=1)
    environment: dict[str, str]
    secrets: tuple[Secret, ...] = ()
    signing: Signing
    user: int = Field(ge=1)
    shared_memory: str = Memory
    scratch: str = Memory
    checkpoints: str
    tolerations: tuple[Toleration, ...] = ()
    node_selector: dict[str, str] = Field({})
    backoff: Backoff
    default: Needs
    tasks: dict[str, Needs] = Field({})
    nodes: int = Field(ge=1, le=64)
    distributed: Distributed

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        for name, value in {**self.environment, "pin": self.pin}.items():
            if redacted(value) != value:  # a compiled pipeline shows it to everybody who may look at a run
                raise ValueError(f"{name} is an address with a login in it: give that by `secrets`")
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

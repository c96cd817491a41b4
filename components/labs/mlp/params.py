"""The mlp lab's parameters: the type of its own section in params.yaml."""

from typing import Literal

from pydantic import Field

from components.config import LabParams, Width
from components.families.classification.params import Batches, Evaluate, Export, Serve


class Train(Batches):
    """The network and its training."""

    hidden_sizes: tuple[Width, ...]
    activation: Literal["relu", "sigmoid"]
    learning_rate: float = Field(gt=0)
    warmup: float = Field(gt=0, lt=1)
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    precision: Literal["32-true"]


class MlpParams(LabParams):
    train: Train
    export: Export
    evaluate: Evaluate
    serve: Serve

"""The digits lab's parameters: the type of its own section in params.yaml."""

from typing import Literal

from pydantic import Field

from components.config import LabParams, Width
from components.families.classification.params import Batches, Evaluate, Export, Serve


class Train(Batches):
    """The network and its training."""

    model: Literal["fully_connected", "convolutional"]
    hidden_sizes: tuple[Width, ...]
    channels: tuple[Width, ...] = Field(min_length=1, max_length=4)
    dense_size: int = Field(ge=1)
    dropout: float = Field(ge=0, lt=1)
    label_smoothing: float = Field(ge=0, lt=1)
    learning_rate: float = Field(gt=0)
    warmup: float = Field(gt=0, lt=1)
    momentum: float = Field(gt=0, lt=1)
    weight_decay: float = Field(ge=0)
    gradient_clip: float = Field(gt=0)


class DigitsParams(LabParams):
    train: Train
    export: Export
    evaluate: Evaluate
    serve: Serve

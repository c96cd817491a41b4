"""The transfer lab's parameters: the types of its sections in params.yaml."""

from typing import Self

from pydantic import Field, model_validator

from components.config import ExportParams, LabParams, Section, TrainParams


class Train(TrainParams):
    """The network, what it knows before it sees the small labelled set, and how it learns that."""

    width: float = Field(gt=0, le=1)
    input_size: int = Field(ge=32, le=256)
    weights: str
    sha256: str = Field(pattern="^([0-9a-f]{64})?$")
    labelled: int = Field(ge=1)
    pretraining_epochs: int = Field(ge=0)
    frozen_epochs: int = Field(ge=0)
    batch_size: int = Field(ge=2)
    pretraining_learning_rate: float = Field(gt=0)
    head_learning_rate: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    warmup: float = Field(gt=0, lt=1)
    weight_decay: float = Field(ge=0)
    dropout: float = Field(ge=0, lt=1)
    label_smoothing: float = Field(ge=0, lt=1)
    gradient_clip: float = Field(gt=0)

    @model_validator(mode="after")
    def _the_parts_fit(self) -> Self:
        if bool(self.weights) != bool(self.sha256):
            raise ValueError("weights and sha256 are given together or not at all")
        if self.weights and self.pretraining_epochs:
            raise ValueError("with weights there is no pretraining: set pretraining_epochs to 0")
        if self.pretraining_epochs + self.frozen_epochs >= self.max_epochs:
            raise ValueError("max_epochs must leave an epoch after the pretraining and the frozen ones")
        if self.patience <= self.pretraining_epochs:
            raise ValueError("patience must be longer than the pretraining, in which the new head learns nothing")
        return self


class Export(ExportParams):
    """The graphs that a bundle holds."""

    calibration: int = Field(ge=1)


class Evaluate(Section):
    """How the exported bundle is measured."""

    batch: int = Field(ge=1, le=10_000)
    bins: int = Field(ge=2, le=100)
    max_quantisation_cost: float = Field(ge=0, le=1)


class TransferParams(LabParams):
    train: Train
    export: Export
    evaluate: Evaluate

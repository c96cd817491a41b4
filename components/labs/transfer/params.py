"""The transfer lab's parameters: the types of its sections in params.yaml."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.config import ExportParams, LabParams, PictureLimits, Section, TrainParams

STRIDE = 32
"""Both backbones halve a picture five times."""


class Train(TrainParams):
    """The network, what it knows before it sees the small labelled set, and how it learns that."""

    backbone: Literal["efficientnet_lite0", "vgg16"]
    pretrained: bool
    weights: str
    sha256: str = Field(pattern="^([0-9a-f]{64})?$")
    input_size: int = Field(ge=STRIDE, le=512, multiple_of=STRIDE)
    labelled: int = Field(ge=1)
    head_weight_decay: float = Field(gt=0)
    head_steps: int = Field(ge=1)
    thawed_parts: int = Field(ge=0)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    warmup: float = Field(gt=0, lt=1)
    weight_decay: float = Field(ge=0)
    dropout: float = Field(ge=0, lt=1)
    label_smoothing: float = Field(ge=0, lt=1)
    smallest_crop: float = Field(gt=0, le=1)
    gradient_clip: float = Field(gt=0)

    @model_validator(mode="after")
    def _the_parts_fit(self) -> Self:
        if bool(self.weights) != bool(self.sha256):
            raise ValueError("weights and sha256 are given together or not at all")
        if (self.backbone == "vgg16" and self.pretrained) != bool(self.weights):
            raise ValueError("weights is the state file of a pretrained vgg16, and of nothing else")
        if not self.pretrained and not self.thawed_parts:
            raise ValueError("a backbone that is not pretrained has to learn: thawed_parts is 0")
        return self


class Export(ExportParams):
    """The graphs that a bundle holds."""

    calibration: int = Field(ge=1)
    float_convolutions: list[int]


class Evaluate(Section):
    """How the exported bundle is measured."""

    batch: int = Field(ge=1, le=10_000)
    bins: int = Field(ge=2, le=100)
    max_quantisation_cost: float = Field(ge=0, le=1)


class Serve(PictureLimits):
    """What the transfer API takes on, and how much at once."""

    max_files: int = Field(ge=2)
    max_categories: int = Field(ge=2)
    max_taught: int = Field(ge=1)
    taught_seconds: float = Field(gt=0)
    weight_decay: float = Field(gt=0)
    waiting: int = Field(ge=0)


class TransferParams(LabParams):
    train: Train
    export: Export
    evaluate: Evaluate
    serve: Serve

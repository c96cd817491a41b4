"""The transfer lab's parameters: the types of its sections in params.yaml."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.config import Section


class Train(Section):
    """The network, what it knows before it sees the small labelled set, and how it learns that."""

    seed: int = Field(ge=0, lt=2**32, description="weights, order, framing and which pictures are labelled")
    width: float = Field(gt=0, le=1, description="share of VGG16's channels; 1 is VGG16 itself")
    input_size: int = Field(ge=32, le=256, description="side of the network's pictures; what is left is for jitter")
    weights: str = Field(
        description="a VGG16 state file as torchvision publishes it: a path or an address; '' for none"
    )
    sha256: str = Field(pattern="^([0-9a-f]{64})?$", description="of that file")
    labelled: int = Field(ge=1, description="labelled pictures of each category: the small set")
    pretraining_epochs: int = Field(ge=0, description="on faces, before the head is replaced; 0 with weights")
    frozen_epochs: int = Field(ge=0, description="in which only the new head learns")
    max_epochs: int = Field(ge=1, description="all three kinds together")
    patience: int = Field(ge=1, description="epochs without a better validation figure before stopping")
    batch_size: int = Field(ge=2, description="pictures a step")
    pretraining_learning_rate: float = Field(gt=0, description="the highest, of AdamW, on faces")
    head_learning_rate: float = Field(gt=0, description="the highest, while the backbone is frozen")
    learning_rate: float = Field(gt=0, description="the highest, of everything, once it is thawed")
    warmup: float = Field(gt=0, lt=1, description="share of each part's steps in which the rate rises")
    weight_decay: float = Field(ge=0, description="of filters and matrices")
    dropout: float = Field(ge=0, lt=1, description="share of what describes a picture that is dropped")
    label_smoothing: float = Field(ge=0, lt=1, description="share of a category's label that is spread over all")
    gradient_clip: float = Field(gt=0, description="largest norm of the gradient")
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        description="auto: bf16 where the hardware multiplies it fast, else 32-bit floats"
    )
    log_every_n_steps: int = Field(ge=1, description="steps between two points of the training curve")

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


class Export(Section):
    """The graphs that a bundle holds."""

    variants: tuple[Literal["float", "int8"], ...] = Field(
        min_length=1, description="the first is what is run unless another is asked for"
    )
    parity_tolerance: float = Field(gt=0, description="how far the float graph's logits may be from the model's")
    calibration: int = Field(ge=1, description="training pictures that set the scales of int8")


class Evaluate(Section):
    """How the exported bundle is measured."""

    batch: int = Field(ge=1, le=10_000, description="pictures read together; changes no result, only the time")
    bins: int = Field(ge=2, le=100, description="of confidence, for calibration")
    max_quantisation_cost: float = Field(
        ge=0, le=1, description="accuracy on validation pictures that int8 may lose and still be served"
    )

"""The face lab's parameters: the types of its sections in params.yaml."""

from typing import Literal

from pydantic import Field

from components.config import (
    DriftLimits,
    ExportParams,
    LabParams,
    PictureLimits,
    Section,
    ShadowLimits,
    TrainParams,
    Width,
)
from components.labs.faces.audit.params import Audit


class Detection(Section):
    """How faces are found in a photograph; evaluation measures with it and serving uses the same."""

    min_face: int = Field(ge=16)
    step: float = Field(gt=1.05, le=2)
    likely: float = Field(ge=0)
    margin: float = Field(ge=0)
    candidates: int = Field(ge=1, le=1000)
    same: float = Field(gt=0, lt=1)
    shift: int = Field(ge=0, le=16)
    zoom: float = Field(ge=1, le=1.5)
    octave: float = Field(ge=0)
    overlap: float = Field(gt=0, lt=1)
    vote: float = Field(gt=0, lt=1)
    frame: float = Field(ge=0.5, le=2)
    max_pixels: int = Field(ge=4096)


class Evaluate(Section):
    """How the exported bundle is measured."""

    false_positive_rate: float = Field(gt=0, lt=1)
    max_quantisation_cost: float = Field(ge=0, le=1)
    detection: Detection
    scenes: int = Field(ge=0, le=1000)
    seed: int = Field(ge=0)
    false_boxes: float = Field(ge=0)
    examples: int = Field(ge=0, le=1000)


class Export(ExportParams):
    """The graphs that a bundle holds."""

    calibration: int = Field(ge=16, le=10_000)
    pictures: int = Field(ge=1, le=64)


class Serve(PictureLimits, DriftLimits, ShadowLimits):
    """What the faces API takes on, and how much at once."""

    quick_pixels: int = Field(ge=0)
    max_files: int = Field(ge=1)
    waiting: int = Field(ge=0)


class Train(TrainParams):
    """The model and its training."""

    model: Literal["standard", "dbvae"]
    widths: tuple[Width, Width, Width]
    hidden_size: int = Field(ge=1, le=4096)
    latent_dim: int = Field(ge=1, le=1024)
    kl_weight: float = Field(ge=0)
    reconstruction_weight: float = Field(ge=0)
    resampling: Literal["none", "max", "product"]
    smoothing: float = Field(gt=0)
    bins: int = Field(ge=2, le=1000)
    histogram_faces: int = Field(ge=2)
    shift: float = Field(ge=0, le=0.5)
    zoom: float = Field(ge=1, le=2)
    rotation: float = Field(ge=0, le=180)
    colour: float = Field(ge=0, lt=1)
    grey: float = Field(ge=0, le=1)
    blur: float = Field(ge=0, le=1)
    noise: float = Field(ge=0, le=1)
    negatives_per_face: float = Field(gt=0)
    hard_share: float = Field(ge=0, le=1)
    held_out: tuple[str, ...]
    skew_group: str
    skew_keep: float = Field(ge=0, le=1)
    flipped_labels: float = Field(ge=0, lt=0.5)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    warmup: float = Field(gt=0, lt=1)
    weight_decay: float = Field(ge=0)
    gradient_clip: float = Field(gt=0)


class FacesParams(LabParams):
    train: Train
    export: Export
    evaluate: Evaluate
    serve: Serve
    audit: Audit

"""Parameters that every lab of generated pictures has: the types of their sections in params.yaml."""

from typing import Literal

from pydantic import Field

from components.config import Decay, ExportParams, LabParams, Limits, Section, TrainParams, Width


class Train(TrainParams):
    """The model and its training."""

    model: Literal["vae", "gan"]
    latent_dim: int = Field(ge=1, le=1024)
    widths: tuple[Width, ...] = Field(min_length=1, max_length=5)
    likelihood: Literal["bernoulli", "logistic"]
    kl_warmup: float = Field(ge=0, lt=1)
    discriminator_widths: tuple[Width, ...] = Field(min_length=1, max_length=5)
    discriminator_rate: float = Field(gt=0)
    discriminator_shift: float = Field(ge=0, le=0.5)
    averaged_steps: int = Field(ge=1)
    flip: bool
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    betas: tuple[Decay, Decay]
    warmup: float = Field(gt=0, lt=1)
    gradient_norm: float = Field(gt=0)


class Export(ExportParams):
    """The graphs that a bundle holds."""

    calibration: int = Field(ge=16, le=10_000)
    prior_components: int = Field(ge=0, le=1000)


class Evaluate(Section):
    """How the exported bundle is measured."""

    seed: int = Field(ge=0, lt=2**32)
    batch: int = Field(ge=1, le=10_000)
    samples: int = Field(ge=50)
    manifold_samples: int = Field(ge=10)
    neighbours: int = Field(ge=1, le=50)
    likelihood_pictures: int = Field(ge=1)
    importance_samples: int = Field(ge=1, le=5000)
    copy_quantile: float = Field(gt=0, lt=1)
    shown: int = Field(ge=2, le=20)
    max_quantisation_cost: float = Field(ge=0)


class Serve(Limits):
    """What the images API takes on, and how much at once."""

    max_pictures: int = Field(ge=1)
    waiting: int = Field(ge=0)


class GenerationParams(LabParams):
    train: Train
    export: Export
    evaluate: Evaluate
    serve: Serve

"""Parameters that every lab on digits has: the types of their sections in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from components.config import DriftLimits, ExportParams, PictureLimits, Section, ShadowLimits, TrainParams


class Augmentation(Section):
    """How a training picture is changed: each number is the most, drawn evenly for each picture."""

    shift: float = Field(ge=0, le=10)
    rotation: float = Field(ge=0, le=45)
    scale: float = Field(ge=0, lt=1)
    shear: float = Field(ge=0, le=1)
    blur: float = Field(ge=0, le=5)
    noise: float = Field(ge=0, le=1)


class Batches(TrainParams):
    """What the batches of both labs need to know; the labs' own Train adds their models."""

    batch_size: int = Field(ge=2)
    augmentation: Augmentation


class Evaluate(Section):
    """How the exported bundle is measured."""

    batch: int = Field(ge=1, le=10_000)
    bins: int = Field(ge=2, le=100)
    mistakes: int = Field(ge=0, le=200)
    seed: int = Field(ge=0)
    shifts: tuple[Annotated[int, Field(ge=0, le=27)], ...] = Field(min_length=1)
    rotations: tuple[float, ...] = Field(min_length=1)
    noises: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    blurs: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)
    max_quantisation_cost: float = Field(ge=0, le=1)
    outliers: int = Field(ge=1)
    """Pictures that are no digits, of each kind."""


class Export(ExportParams):
    """The graphs that a bundle holds."""

    calibration: int = Field(ge=1)
    prototypes: int = Field(ge=1)
    """Training pictures that a picture is compared with, to see whether it is a digit at all."""
    detectors: dict[Literal["angle", "distance", "subspace"], tuple[Annotated[int, Field(ge=1, le=784)], ...]] = Field(
        min_length=1
    )
    """Candidates, by how they measure: principal components that each is tried with. Validation pictures choose."""
    outliers: int = Field(ge=1)
    """Validation pictures that are no digits, of each kind."""
    seed: int = Field(ge=0)
    """Seed of their draws."""
    abstain_percentile: float = Field(gt=0, le=100)
    """Percentile of the distances of validation digits: beyond it a picture is taken for no digit."""


class Serve(PictureLimits, DriftLimits, ShadowLimits):
    """What the digits API takes on, and how much at once."""

    waiting: int = Field(ge=0)
    paper: float = Field(gt=0, lt=1)
    max_digits: int = Field(ge=1, le=200)

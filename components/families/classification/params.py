"""Parameters that every lab on digits has: the types of their sections in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from components.config import Section


class Prepare(Section):
    """What of the raw pictures is taken."""

    limit: int = Field(ge=0, description="pictures taken, evenly through the files and from every split; 0 takes all")


class Augmentation(Section):
    """How a training picture is changed: each number is the most, drawn evenly for each picture."""

    shift: float = Field(ge=0, le=10, description="pixels along each axis")
    rotation: float = Field(ge=0, le=45, description="degrees")
    scale: float = Field(ge=0, lt=1, description="share by which it grows or shrinks")
    shear: float = Field(ge=0, le=1, description="pixels sideways for each pixel down")
    blur: float = Field(ge=0, le=5, description="standard deviation, pixels; half of the pictures get none")
    noise: float = Field(ge=0, le=1, description="standard deviation, 1 is full ink; half of the pictures get none")


class Batches(Section):
    """What the batches of both labs need to know; the labs' own Train adds their models."""

    seed: int = Field(ge=0, lt=2**32, description="weights, order and augmentation of every epoch")
    batch_size: int = Field(ge=2, description="pictures a step")
    augmentation: Augmentation


class Evaluate(Section):
    """How the exported bundle is measured."""

    batch: int = Field(ge=1, le=10_000, description="pictures read together; changes no result, only the time")
    bins: int = Field(ge=2, le=100, description="of confidence, for calibration")
    mistakes: int = Field(ge=0, le=200, description="worst mistakes shown as pictures")
    seed: int = Field(ge=0, description="of the noise that robustness is measured under")
    shifts: tuple[Annotated[int, Field(ge=0, le=27)], ...] = Field(
        min_length=1, description="pixels, along each axis and both ways"
    )
    rotations: tuple[float, ...] = Field(min_length=1, description="degrees, both ways")
    noises: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        min_length=1, description="standard deviation of Gaussian noise; 1 is full ink"
    )
    blurs: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        min_length=1, description="standard deviation of a Gaussian blur, pixels"
    )
    max_quantisation_cost: float = Field(
        ge=0, le=1, description="accuracy on validation digits that int8 may lose against float and still be served"
    )


class Export(Section):
    """The graphs that a bundle holds."""

    variants: tuple[Literal["float", "int8"], ...] = Field(
        min_length=1, description="the first is what is run unless another is asked for"
    )
    parity_tolerance: float = Field(gt=0, description="how far the float graph's logits may be from the model's")
    calibration: int = Field(ge=1, description="training digits that set the scales of int8")

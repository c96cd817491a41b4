"""Parameters of the lab driving."""

from typing import Annotated

from pydantic import Field

from components.config import ExportParams, LabParams, Section, TrainParams, Width
from components.datasets.driving.params import Expert
from components.families.agents.params import Serve


class Bursts(Section):
    """Spells of wrong actions while the expert drives."""

    chance: float = Field(ge=0, le=1)
    """Probability that a spell begins, at each decision."""
    longest: int = Field(ge=1)
    """Decisions."""
    steering: float = Field(ge=0)
    """Standard deviation of what is added to the steering."""
    pedals: float = Field(ge=0)
    """Standard deviation of what is added to the gas; the brake gets a quarter of it."""


class Train(TrainParams):
    """The rounds of DAgger, an epoch each, and the network."""

    hold: int = Field(ge=1, le=50)
    expert: Expert
    bursts: Bursts
    expert_tracks: int = Field(ge=1)
    student_tracks: int = Field(ge=1)
    expert_share: float = Field(ge=0, le=1)
    updates: int = Field(ge=1)
    final_updates: int = Field(ge=1)
    newest_share: float = Field(ge=0, le=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    channels: tuple[Width, Width, Width]
    hidden_size: int = Field(ge=4, le=4096)
    validation_tracks: int = Field(ge=1)
    film_rounds: tuple[Annotated[int, Field(ge=1)], ...] = Field(max_length=8)

    def updates_of(self, epoch: int) -> int:
        """Updates of an epoch, from 0: the last one has its own number."""
        return self.final_updates if epoch == self.max_epochs - 1 else self.updates


class Export(ExportParams):
    """The graphs that a bundle holds."""

    calibration_tracks: int = Field(ge=1)
    """Training tracks on which the policy drives for the frames that fix the ranges of int8."""


class Evaluate(Section):
    """How the exported policy is measured, on test tracks unless said."""

    seed: int = Field(ge=0, lt=2**32)
    tracks: int = Field(ge=1)
    variant_tracks: int = Field(ge=1)
    """Validation tracks on which the variants are compared."""
    max_quantisation_cost: float = Field(ge=0)
    """Mean return that int8 may lose and still be served."""
    robustness_tracks: int = Field(ge=1)
    noises: tuple[Annotated[float, Field(gt=0)], ...]
    """Standard deviations of Gaussian noise on every value of a frame, of 255."""
    delays: tuple[Annotated[int, Field(ge=1, le=50)], ...]
    """Frames by which the policy sees the past."""
    strips: int = Field(ge=1, le=20)


class DrivingParams(LabParams):
    train: Train
    export: Export
    evaluate: Evaluate
    serve: Serve

"""Parameters of the lab driving."""

from typing import Annotated, Self

from pydantic import Field, model_validator

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


class FineTuning(Section):
    """PPO (Schulman et al. 2017) after the rounds of DAgger."""

    epochs: int = Field(ge=0)
    """The last ones of `max_epochs`."""
    critic_epochs: int = Field(ge=0)
    """The first of them, in which only the value is learnt."""
    updates: int = Field(ge=1)
    tracks: int = Field(ge=1)
    passes: int = Field(ge=1)
    minibatch: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    deviation: float = Field(gt=0, le=1)
    discount: float = Field(gt=0, lt=1)
    trace: float = Field(ge=0, le=1)
    clip: float = Field(gt=0, lt=1)
    gradient_norm: float = Field(gt=0)
    return_unit: float = Field(gt=0)


class Train(TrainParams):
    """The rounds of DAgger, an epoch each, epochs of PPO after them, and the network."""

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
    fine_tuning: FineTuning

    @property
    def rounds(self) -> int:
        """Epochs of DAgger; those after them are of PPO."""
        return self.max_epochs - self.fine_tuning.epochs

    def updates_of(self, epoch: int) -> int:
        """Updates of an epoch, from 0: the last round of DAgger has its own number."""
        if epoch >= self.rounds:
            return self.fine_tuning.updates
        return self.final_updates if epoch == self.rounds - 1 else self.updates

    @model_validator(mode="after")
    def _rounds_first(self) -> Self:
        if self.rounds < 1:
            raise ValueError("fine_tuning.epochs are the last of max_epochs, and a round of DAgger must come before")
        return self


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

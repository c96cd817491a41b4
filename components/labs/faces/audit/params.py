"""The type of `audit.faces` in params.yaml."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from components.config import Section

Share = Annotated[float, Field(gt=0, lt=1)]


class Simulation(Section):
    """How the audit itself is audited: on detectors of which the truth is known."""

    audits: int = Field(ge=10, description="simulated audits of each kind of detector")
    gaps: tuple[Share, ...] = Field(min_length=1, description="how much worse one group is found, in share of faces")


class Audit(Section):
    """What the audit asks of a detector, and how it looks."""

    confidence: float = Field(gt=0.5, lt=1, description="of every interval")
    seed: int = Field(ge=0, lt=2**32, description="of every resample, shuffle and simulation")
    draws: int = Field(ge=200, description="resamples of a bootstrap, and shuffles of a permutation null")
    false_positive_rate: Share = Field(description="of validation negatives, where no evaluation chose a threshold")
    groups: dict[str, tuple[str, ...]] = Field(
        min_length=1, description="by attribute, the perceived groups that must be there and are gated"
    )
    min_faces: int = Field(ge=1, description="audit faces that each gated group must have")
    min_photographs: int = Field(ge=1, description="audit photographs without faces that there must be")
    min_recall: Share = Field(description="the lower end of every gated group's recall must reach it")
    max_false_positive_rate: Share = Field(description="its upper end must not exceed it")
    max_gap: Share = Field(description="largest difference of recall between two gated groups")
    max_calibration_error: Share = Field(
        description="upper end within passes, lower end beyond fails: a served probability means something"
    )
    max_loss: Share = Field(description="no gated group may be shown to lose more recall than that to the champion")
    small_cell: int = Field(ge=1, description="faces; a cell with fewer is marked as too small to say much")
    calibration_bins: int = Field(ge=2, le=100)
    sweep: tuple[Share, ...] = Field(description="false-positive rates on validation, a threshold each")
    label_noise: tuple[Annotated[float, Field(gt=0, lt=0.5)], ...] = Field(
        description="shares of faces whose group labels are taken to be wrong"
    )
    latent_bins: int = Field(ge=2, description="of the histograms that say how rare a face is (the paper's 10)")
    latent_smoothing: float = Field(gt=0, description="the paper's alpha in those histograms")
    pictures: int = Field(ge=0, le=100, description="worst misses, and as many worst false positives, shown")
    simulation: Simulation

    @model_validator(mode="after")
    def _two_groups_make_a_gap(self) -> Self:
        for attribute, groups in self.groups.items():
            if attribute not in ("race", "gender"):
                raise ValueError(f"groups has {attribute!r}; labels that can be gated are race and gender")
            if len(set(groups)) < 2 or len(set(groups)) < len(groups):
                raise ValueError(f"groups.{attribute} must name two groups or more, each once")
        return self

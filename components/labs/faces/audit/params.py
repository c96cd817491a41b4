"""The type of `audit.faces` in params.yaml."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from components.config import Section

Share = Annotated[float, Field(gt=0, lt=1)]


class Simulation(Section):
    """How the audit itself is audited: on detectors of which the truth is known."""

    audits: int = Field(ge=10)
    gaps: tuple[Share, ...] = Field(min_length=1)


class Audit(Section):
    """What the audit asks of a detector, and how it looks."""

    confidence: float = Field(gt=0.5, lt=1)
    seed: int = Field(ge=0, lt=2**32)
    draws: int = Field(ge=200)
    false_positive_rate: Share
    groups: dict[str, tuple[str, ...]] = Field(min_length=1)
    min_faces: int = Field(ge=1)
    min_photographs: int = Field(ge=1)
    min_recall: Share
    max_false_positive_rate: Share
    max_gap: Share
    max_calibration_error: Share
    max_loss: Share
    small_cell: int = Field(ge=1)
    calibration_bins: int = Field(ge=2, le=100)
    sweep: tuple[Share, ...]
    label_noise: tuple[Annotated[float, Field(gt=0, lt=0.5)], ...]
    latent_bins: int = Field(ge=2)
    latent_smoothing: float = Field(gt=0)
    pictures: int = Field(ge=0, le=100)
    simulation: Simulation

    @model_validator(mode="after")
    def _two_groups_make_a_gap(self) -> Self:
        for attribute, groups in self.groups.items():
            if attribute not in ("race", "gender"):
                raise ValueError(f"groups has {attribute!r}; labels that can be gated are race and gender")
            if len(set(groups)) < 2 or len(set(groups)) < len(groups):
                raise ValueError(f"groups.{attribute} must name two groups or more, each once")
        return self

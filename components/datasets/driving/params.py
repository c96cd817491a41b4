"""Parameters of the privileged expert: its line and how it follows it; and of the dataset, whose episodes it plays."""

from __future__ import annotations

from pydantic import Field

from components.config import Section
from components.datasets.environments.params import EnvironmentParams


class Line(Section):
    """How the expert's racing line and its speeds are found."""

    margin: float = Field(ge=0, lt=6)
    """Metres that the line keeps from the edge."""
    shortness: float = Field(ge=0)
    """Weight of the length beside the curvature."""
    smoothing: int = Field(ge=0, le=20)
    """Points to both sides over which curvature is averaged."""
    grip: float = Field(gt=0)
    """Largest lateral acceleration, m/s^2."""
    braking: float = Field(gt=0)
    acceleration: float = Field(gt=0)
    top_speed: float = Field(gt=0)


class Expert(Section):
    """The privileged driver: lengths in metres, times in seconds."""

    line: Line
    delay: float = Field(ge=0)
    lookahead: float = Field(gt=0)
    lookahead_time: float = Field(ge=0)
    slip: float = Field(ge=0, le=1)
    damping: float = Field(ge=0)
    speed_time: float = Field(ge=0)
    tolerance: float = Field(ge=0)
    gas_gain: float = Field(gt=0)
    gas: float = Field(gt=0, le=1)
    easing: float = Field(ge=0)
    brake_gain: float = Field(gt=0)
    brake: float = Field(gt=0, lt=0.9)
    strayed: float = Field(gt=0)
    caution: float = Field(ge=0)
    lost: float = Field(gt=0)
    recovery_speed: float = Field(gt=0)
    sliding: float = Field(gt=0)


class DrivingParams(EnvironmentParams):
    """Who plays the reference episodes beside a random policy: the lab's teacher, by the same numbers."""

    hold: int = Field(ge=1, le=50)
    """Frames for which the expert holds an action."""
    expert: Expert

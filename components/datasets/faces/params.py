"""Parameters that every lab on faces has: how the raw pictures become images."""

from pydantic import Field

from components.config import DatasetParams


class FacesParams(DatasetParams):
    """What of the raw pictures is taken, and how they are split."""

    seed: int = Field(ge=0)
    size: int = Field(ge=64, le=256)
    crops: int = Field(ge=1, le=100)
    validation_share: float = Field(gt=0, lt=0.5)
    audit_share: float = Field(gt=0, lt=0.5)

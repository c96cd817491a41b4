"""Parameters that every lab on faces has: how the raw pictures become images."""

from pydantic import Field

from components.config import Section


class Prepare(Section):
    """What of the raw pictures is taken, and how they are split."""

    seed: int = Field(ge=0, description="which pictures are in which split, and where photographs are cropped")
    size: int = Field(ge=64, le=256, description="side of the prepared images; what exceeds 64 is margin for jitter")
    crops: int = Field(ge=1, le=100, description="negatives from each photograph, at most")
    validation_share: float = Field(gt=0, lt=0.5, description="of pictures that are not for the audit by their source")
    audit_share: float = Field(gt=0, lt=0.5, description="of pictures whose source does not say what they are for")
    limit: int = Field(ge=0, description="faces taken, and photographs, evenly through the files; 0 takes all")

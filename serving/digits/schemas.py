"""What the digits API takes and answers, as types: OpenAPI is made of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from components.families.classification.runtime import SIZE
from serving.core.schemas import Origin

Ink = Annotated[int, Field(ge=0, le=255)]
Row = Annotated[list[Ink], Field(min_length=SIZE, max_length=SIZE)]
Image = Annotated[list[Row], Field(min_length=SIZE, max_length=SIZE)]

Probabilities = Annotated[list[float], Field(min_length=10, max_length=10, description="of the digits 0 to 9")]


class ReadRequest(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    image: Image = Field(description="rows from the top, 0 paper to 255 ink; read as it is, so framed as MNIST is")


class ReadDigit(BaseModel):
    digit: int = Field(ge=0, le=9)
    probability: float = Field(ge=0, le=1, description="of this digit, under the model")
    probabilities: Probabilities
    image: Image = Field(description="what the model was shown: the digit, cut out, scaled and centred")
    abstain: bool | None = Field(
        description="true: this is probably no digit, and the answer should not be relied on; null: the model's bundle "
        "cannot say"
    )
    distance: float | None = Field(description="from the nearest training digit, 0 to 1")
    left: int = Field(ge=0, description="pixels from the left edge of the picture, upright")
    top: int = Field(ge=0)
    right: int
    bottom: int


class OneDigit(BaseModel):
    """What is answered of a picture with one digit; null where it has several, which `digits` lists."""

    digit: int | None = Field(default=None, ge=0, le=9)
    probabilities: Probabilities | None = None
    image: Image | None = None
    abstain: bool | None = None
    distance: float | None = None


class ReadAnswer(OneDigit):
    digits: list[ReadDigit] = Field(min_length=1, description="from left to right, and row by row")
    width: int = Field(description="of the picture, upright, in pixels")
    height: int
    model: Origin

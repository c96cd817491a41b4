"""What the uncertainty API takes and answers, as types: OpenAPI is made of them, and rows are checked by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from annotated_types import Len
from pydantic import BaseModel, ConfigDict, Field, create_model

from serving.core.schemas import Origin

LARGEST = 1e9
"""Largest size of a value. Beyond 1e15 32-bit floats would overflow inside the networks."""


class Rows(BaseModel):
    """The base of every set's request of several rows."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Row(BaseModel):
    """The base of every set's request of one row."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Requests(NamedTuple):
    """The types of a set's requests: {"features": {column: number}}, and {"rows": [{column: number}, ...]}."""

    one: type[Row]
    many: type[Rows]


class Interval(BaseModel):
    coverage: float = Field(description="share of true values that it is meant to hold")
    low: float
    high: float
    conformal_low: float = Field(description="of the conformal interval: symmetric, from errors on left-out rows")
    conformal_high: float


class Outside(BaseModel):
    """A value beyond those that the model was trained on. It is used as it is."""

    field: str
    value: float
    low: float = Field(description="the smallest value of the training rows")
    high: float = Field(description="the largest")


class Estimate(BaseModel):
    mean: float
    intervals: list[Interval]
    aleatoric: float = Field(description="standard deviation of the noise that the model predicts")
    epistemic: float = Field(description="standard deviation of the members' means: where they disagree, it knows less")
    ood_percentile: float = Field(
        ge=0, le=100, description="of the epistemic estimate, among those of rows that were left out of training"
    )
    outside: list[Outside] = Field(description="values out of the training rows' range; are their units right?")
    abstain: bool = Field(description="the model should not be relied on here, and the intervals are not calibrated")
    reasons: list[str] = Field(description="why it abstains")


class Target(BaseModel):
    name: str
    unit: str


class Prediction(Estimate):
    target: Target
    model: Origin


class Predictions(BaseModel):
    rows: list[Estimate]
    target: Target
    model: Origin


def requests_of(name: str, features: Sequence[Mapping[str, Any]], max_rows: int) -> Requests:
    """The types of a set's requests. features: its columns, as the bundle's spec describes them."""
    columns: dict[str, Any] = {
        feature["name"]: (
            float,
            Field(
                ge=-LARGEST,
                le=LARGEST,
                allow_inf_nan=False,
                description=f"{feature['unit'] or 'no unit'}; trained on {feature['min']:g} to {feature['max']:g}",
            ),
        )
        for feature in features
    }
    title = name.title()
    row = create_model(f"{title}Features", __config__=ConfigDict(strict=True, extra="forbid"), **columns)
    rows: Any = (Annotated[list[row], Len(1, max_rows)], Field(description="one answer each, in this order"))
    return Requests(
        create_model(f"{title}Request", __base__=Row, features=(row, ...)),
        create_model(f"{title}BatchRequest", __base__=Rows, rows=rows),
    )

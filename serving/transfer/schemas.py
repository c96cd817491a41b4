"""What the transfer API takes and answers, as types: OpenAPI is made of them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from serving.core.schemas import Origin

BEST = 5
"""Categories of an answer."""


class Found(BaseModel):
    category: str
    probability: float = Field(ge=0, le=1)


class ClassifyQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    taught: str = Field("", max_length=64, description="a taught model, by the name that /teach gave; else the lab's")


class ClassifyAnswer(BaseModel):
    categories: list[Found] = Field(min_length=1, max_length=BEST, description="the likeliest ones, the best first")
    model: Origin


class TaughtCategory(BaseModel):
    category: str
    pictures: int = Field(ge=1)


class TeachAnswer(BaseModel):
    taught: str = Field(description="the model's name: for /classify?taught=, and to forget it")
    categories: list[TaughtCategory]
    left_out_accuracy: float | None = Field(
        description="share of these pictures that models which were taught without them find; null where a category "
        "has one picture"
    )
    seconds: float = Field(description="after which it is forgotten, if it was not before")
    model: Origin


class TaughtQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    taught: str = Field(min_length=1, max_length=64, description="the name that /teach gave")


class ForgetAnswer(BaseModel):
    forgotten: str

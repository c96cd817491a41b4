"""What the generation API takes, as types: OpenAPI is made of them, and queries are checked by them."""

from __future__ import annotations

from copy import copy
from typing import TypeVar

from annotated_types import Le
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

LARGEST_SEED = 2**32 - 1


class SamplesQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seed: int = Field(1, ge=0, le=LARGEST_SEED, description="the same seed makes the same pictures")
    count: int = Field(16, ge=1, description="how many; a larger count begins with the same ones")


class InterpolationQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    first: int = Field(1, ge=0, le=LARGEST_SEED, description="seed of the picture at the beginning")
    last: int = Field(2, ge=0, le=LARGEST_SEED, description="seed of the picture at the end")
    count: int = Field(8, ge=2, description="how many, the ends included")


QueryT = TypeVar("QueryT", SamplesQuery, InterpolationQuery)


def limited(query: type[QueryT], most: int) -> type[QueryT]:
    """The query as a server takes it that makes at most so many pictures at a time; its default is no larger."""
    given: FieldInfo = copy(query.model_fields["count"])
    given.metadata = [*given.metadata, Le(most)]
    given.default = min(given.default, most)
    return create_model(query.__name__, __base__=query, count=(int, given))

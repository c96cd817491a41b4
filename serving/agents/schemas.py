"""What the agents API takes and answers, as types: OpenAPI is made of them, and requests are checked by them."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Le, MaxLen
from pydantic import BaseModel, ConfigDict, Field, create_model

from components.families.agents.params import Serve
from serving.core.schemas import Origin

LARGEST_SEED = 2**31 - 1
"""gymnasium and ALE take no larger ones everywhere."""


class ActRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    observations: list[Any] = Field(
        min_length=1,
        description="raw observations as the environment gives them, each of the shape that /info has: nested lists of "
        "numbers",
        examples=[[[0.01, -0.02, 0.03, 0.04]]],
    )


class ActAnswer(BaseModel):
    actions: list[int] = Field(description="the likeliest action for each observation")
    probabilities: list[list[float]] = Field(description="of every action, for each observation")
    model: Origin


class EpisodeQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seed: int = Field(1, ge=0, le=LARGEST_SEED, description="of the game; the same seed makes the same episode")
    steps: int = Field(10_000, ge=1, description="most steps that are played")
    pictures: bool = Field(True, description="whether every step has a picture")


class StepEvent(BaseModel):
    """A step of a played episode. Rewards and return are after the action."""

    step: int
    action: int
    probabilities: list[float]
    reward: float
    total: float = Field(description="the return up to here")
    picture: str = Field(description="what was seen before the action: a PNG file in base64; empty where none is asked")
    ended: bool = Field(description="whether the episode ended with this step")


class DoneEvent(BaseModel):
    """The end of an episode. ended: false where the server's limit on steps cut it off."""

    seed: int
    steps: int
    total: float
    ended: bool
    model: Origin


def act_request(limits: Serve) -> type[ActRequest]:
    """As a server takes it with these limits."""
    given = ActRequest.model_fields["observations"]
    return create_model(
        "ActRequest", __base__=ActRequest, observations=(Annotated[list[Any], MaxLen(limits.max_observations)], given)
    )


def episode_query(limits: Serve) -> type[EpisodeQuery]:
    """As a server takes it with these limits."""
    given = Field(min(10_000, limits.max_steps), ge=1, description=EpisodeQuery.model_fields["steps"].description)
    return create_model("EpisodeQuery", __base__=EpisodeQuery, steps=(Annotated[int, Le(limits.max_steps)], given))

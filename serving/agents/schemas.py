"""What the agents API takes and answers, as types: OpenAPI is made of them, and requests are checked by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from annotated_types import Ge, Le, Len
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, create_model

from components.families.agents.params import Serve
from serving.core.schemas import Origin

LARGEST_SEED = 2**31 - 1
"""gymnasium and ALE take no larger ones everywhere."""
LARGEST = 1e38
"""Largest size of an observed number: 32-bit floats hold no much larger ones."""


class ActRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    observations: list[Any] = Field(
        description="raw observations as the game gives them: nested lists of numbers, each of the game's shape"
    )


class ActAnswer(BaseModel):
    actions: list[int | list[float]] = Field(
        description="for each observation the likeliest action, or steering, gas and brake"
    )
    probabilities: list[list[float]] = Field(
        description="of every action, for each observation; none where actions are real numbers"
    )
    model: Origin


class EpisodeQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seed: int = Field(1, ge=0, le=LARGEST_SEED, description="of the game; the same seed makes the same episode")
    steps: int = Field(10_000, ge=1, description="most steps that are played")
    pictures: bool = Field(True, description="whether every step has a picture")


def _whole(value: Any) -> Any:
    """JSON does not tell 1.0 from 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class PlayRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seed: Annotated[int, Strict(), Ge(0), Le(LARGEST_SEED), BeforeValidator(_whole)] = Field(
        1, description="of the game"
    )
    actions: list[Any] = Field([], description="every action of the episode so far, from its start")


class PlayAnswer(BaseModel):
    """The episode as it stands after the actions."""

    step: int = Field(description="actions that were taken: those after the end of the episode are not")
    pictures: list[str] = Field(
        description="what was seen during the last action, as JPEG files in base64; the last one is of now"
    )
    action: int | list[float] = Field(description="what the agent would do now: it does nothing unless it is sent back")
    probabilities: list[float]
    reward: float = Field(description="of the last action")
    total: float = Field(description="the return up to here")
    ended: bool
    model: Origin


class StepEvent(BaseModel):
    """A step of a played episode. Rewards and return are after the action."""

    step: int
    action: int | list[float]
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


def act_request(limits: Serve, shape: Sequence[int], dtype: str) -> type[ActRequest]:
    """As a server takes it with these limits, of a policy that reads observations of this shape and numpy type."""
    kind: Any = Annotated[float, Strict(), Ge(-LARGEST), Le(LARGEST)]
    if dtype == "uint8":
        kind = Annotated[int, Strict(), Ge(0), Le(255)]
    for size in reversed(shape):
        kind = Annotated[list[kind], Len(size, size)]
    given = ActRequest.model_fields["observations"]
    observations = Annotated[list[kind], Len(1, limits.max_observations)]
    return create_model(
        "ActRequest", __base__=ActRequest, observations=(observations, Field(description=given.description))
    )


def play_request(limits: Serve, action_count: int) -> type[PlayRequest]:
    """As a server takes it with these limits. action_count: 0 where an action is steering, gas and brake."""
    action: Any = Annotated[int, Strict(), Ge(0), Le(action_count - 1), BeforeValidator(_whole)]
    if action_count == 0:
        pedal = Annotated[float, Strict(), Ge(0), Le(1)]
        action = tuple[Annotated[float, Strict(), Ge(-1), Le(1)], pedal, pedal]
    given = PlayRequest.model_fields["actions"]
    actions = Annotated[list[action], Len(0, limits.max_steps)]
    return create_model(
        "PlayRequest", __base__=PlayRequest, actions=(actions, Field([], description=given.description))
    )


def episode_query(limits: Serve) -> type[EpisodeQuery]:
    """As a server takes it with these limits."""
    given = Field(min(10_000, limits.max_steps), ge=1, description=EpisodeQuery.model_fields["steps"].description)
    return create_model("EpisodeQuery", __base__=EpisodeQuery, steps=(Annotated[int, Le(limits.max_steps)], given))

"""The agents API's description."""

from __future__ import annotations

from components.datasets.environments.reader import Environment
from components.families.agents.params import Serve
from serving.agents.schemas import (
    ActAnswer,
    DoneEvent,
    PlayAnswer,
    StepEvent,
    act_request,
    episode_query,
    play_request,
)
from serving.core import openapi
from serving.core.openapi import PROBLEMS, Json, json_of, operation, work_problems

EPISODE = {status: PROBLEMS[status] for status in (408, 413, 429, 500, 503)} | {
    422: "a field of the query is wrong, or given more than once"
}
EVENTS = 'event: step\ndata: {"step":0,"action":1,"probabilities":[0.2,0.8],"reward":1.0,"total":1.0,"picture":""}\n\n'
ACT = work_problems(
    {
        400: "the body is not JSON",
        415: "the body is not announced as JSON",
        422: "an observation has another shape, or holds what is no number",
    }
)
PLAY = work_problems(
    {
        400: "the body is not JSON",
        415: "the body is not announced as JSON",
        422: "a field is wrong, such as an action that the game does not have",
    }
)


def document(limits: Serve, version: str, environment: Environment, observed: tuple[int, ...] | None = None) -> Json:
    """version: of the model that is served. observed: the shape of what it decides on, if not one observation."""
    shape = " x ".join(map(str, observed or environment.observation_shape))
    actions = f"{environment.action_count} actions" if environment.action_count else "steering, gas and brake"
    about = {
        "title": "Agents",
        "version": version,
        "description": f"An agent that plays {environment.id}: {actions}, observations of "
        f"{shape} ({environment.observation_dtype}). The same seed and model make the same episode.",
    }
    query = episode_query(limits)
    paths = {
        "/act": {
            "post": operation(
                "act", "Actions for observations", json_of("ActAnswer"), body=json_of("ActRequest"), problems=ACT
            )
        },
        "/play": {
            "post": operation(
                "play",
                "An episode after the actions of whoever plays it: what is seen, and what the agent would do",
                json_of("PlayAnswer"),
                body=json_of("PlayRequest"),
                problems=PLAY,
            )
        },
        "/episode": {
            "get": operation(
                "episode",
                "An episode that the server plays, as events: `step` each (StepEvent), then `done` (DoneEvent)",
                {"text/event-stream": {"example": EVENTS}},
                parameters=_parameters(query.model_json_schema()["properties"]),
                problems=EPISODE,
            )
        },
    }
    asked = act_request(limits, observed or environment.observation_shape, environment.observation_dtype)
    played = play_request(limits, environment.action_count)
    return openapi.document(about, paths, [asked, ActAnswer, played, PlayAnswer, StepEvent, DoneEvent])


def _parameters(properties: Json) -> list[Json]:
    parameters = []
    for name, schema in properties.items():
        description = schema.pop("description")
        schema.pop("title")
        parameters.append({"name": name, "in": "query", "description": description, "schema": schema})
    return parameters

"""The API's description, as OpenAPI 3.1 at /docs.json: written beside the routes, with the types they check by."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.tunes.schemas import (
    EXAMPLE_TUNE,
    DoneEvent,
    GenerateAnswer,
    Info,
    Problem,
    Request,
    TextEvent,
)

Json = dict[str, Any]

PROBLEMS = {
    400: "the body is not JSON",
    408: "the body did not arrive in time",
    413: "the body is too large",
    415: "the body is not application/json",
    422: "a field is wrong: `errors` names it",
    429: "every place is taken: Retry-After says when to come back",
    500: "our fault: the log has it under the request id",
    503: "shutting down, or it took too long: Retry-After says when to come back",
}
BODY_PROBLEMS = tuple(PROBLEMS)
EVENTS = """event: text
data: {"text": "X:1\\nT:The Open"}

event: done
data: {"tune": {"abc": "...", "valid": true}, "model": {"promoted": true}}

"""


def document(requests: dict[str, type[Request]], version: str) -> Json:
    """version: of the model that is served."""
    answers: list[type[BaseModel]] = [GenerateAnswer, TextEvent, DoneEvent, Problem, Info]
    _, schemas = models_json_schema(
        [(model, "validation") for model in (*requests.values(), *answers)], ref_template="#/components/schemas/{model}"
    )
    headers = {
        "X-Request-Id": _header("the request's own if it had one; the log knows it by this"),
        "X-Model-Digest": _header("the model that answered"),
        "X-Promoted": _header("false: the model has passed no gate"),
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Music",
            "version": version,
            "description": "Irish folk tunes in ABC notation, written a character at a time by an LSTM with attention.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(),
        "components": {"schemas": schemas["$defs"], "headers": headers},
    }


def _paths() -> Json:
    playing = {"midi": "audio/midi", "wav": "audio/wav"}
    return {
        "/generate": {
            "post": _operation(
                "generate",
                "Make tunes; the same seed and model give the same tunes",
                _json("GenerateAnswer"),
                body=("GenerateRequest", {"seed": 1, "key": "D Major", "metre": "6/8", "type": "jig"}),
            )
        },
        "/stream": {
            "post": _operation(
                "stream",
                "Make a tune, and send its characters as they are made: `text` events (TextEvent), then one `done` "
                "(DoneEvent) that says whether it is valid; or one `error` (Problem)",
                {"text/event-stream": {"example": EVENTS}},
                body=("StreamRequest", {"temperature": 0.9}),
            )
        },
        **{
            f"/tunes/{kind}": {
                "get": _operation(f"get_{kind}", f"Play a short tune as {media_type}", _file(media_type), query=True),
                "post": _operation(
                    f"post_{kind}",
                    f"Play a tune as {media_type}",
                    _file(media_type),
                    body=("AbcRequest", {"abc": EXAMPLE_TUNE}),
                ),
            }
            for kind, media_type in playing.items()
        },
        "/info": {"get": _operation("info", "The model, where it comes from, and the limits", _json("Info"))},
        "/livez": {"get": _operation("livez", "503: restart this process", _text(), problems=(503,))},
        "/readyz": {"get": _operation("readyz", "503: send nothing here now", _text(), problems=(503,))},
        "/metrics": {"get": _operation("metrics", "For Prometheus", _text())},
        "/docs.json": {
            "get": _operation("docs", "This document", {"application/json": {"schema": {"type": "object"}}})
        },
        "/": {"get": _operation("page", "The page", {"text/html": {"schema": {"type": "string"}}})},
    }


def _operation(
    name: str,
    summary: str,
    content: Json,
    *,
    body: tuple[str, Json] | None = None,
    query: bool = False,
    problems: tuple[int, ...] = (),
) -> Json:
    answer = {
        "description": "OK",
        "content": content,
        "headers": _headers("X-Request-Id", "X-Model-Digest", "X-Promoted"),
    }
    operation: Json = {"operationId": name, "summary": summary, "responses": {"200": answer}}
    if body:
        schema, example = body
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(schema), "example": example}},
        }
    if query:
        operation["parameters"] = [
            {
                "name": "abc",
                "in": "query",
                "required": True,
                "description": "the tune; POST keeps it out of the logs of what lies between",
                "schema": {"type": "string", "minLength": 1},
                "example": EXAMPLE_TUNE,
            }
        ]
    for status in BODY_PROBLEMS if body or query else problems:
        media_type = "text/plain" if status in problems else "application/problem+json"
        schema_of = {"type": "string"} if status in problems else _reference("Problem")
        operation["responses"][str(status)] = {
            "description": PROBLEMS[status],
            "content": {media_type: {"schema": schema_of}},
        }
    return operation


def _json(schema: str) -> Json:
    return {"application/json": {"schema": _reference(schema)}}


def _text() -> Json:
    return {"text/plain": {"schema": {"type": "string"}}}


def _file(media_type: str) -> Json:
    return {media_type: {"schema": {"type": "string", "contentMediaType": media_type}}}


def _reference(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def _header(description: str) -> Json:
    return {"description": description, "schema": {"type": "string"}}


def _headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}

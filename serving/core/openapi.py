"""What the APIs' descriptions have in common: OpenAPI 3.1, written beside the routes, with the types they check by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.core.pictures import FORMATS
from serving.core.schemas import Info, Problem

Json = dict[str, Any]

HEADERS = {
    "X-Request-Id": "the request's own if it had one; the log knows it by this",
    "X-Model-Digest": "the model that answered",
    "X-Promoted": "false: the model has passed no gate",
}
PROBLEMS = {
    404: "the model that answers has none",
    408: "the body did not arrive in time",
    413: "the body is too large",
    429: "every place is taken: Retry-After says when to come back",
    500: "our fault: the log has it under the request id",
    503: "shutting down, or it took too long: Retry-After says when to come back",
}
BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}
WORK_PROBLEMS = (408, 413, 429, 500, 503)
"""Statuses that every operation has which takes a body and does work."""


def document(
    about: Json, paths: Json, models: Iterable[type[BaseModel]], info: type[Info] = Info, headers: Json | None = None
) -> Json:
    """about: title, version and description. paths, models: the API's own; headers: on every answer, beside HEADERS."""
    types: list[type[BaseModel]] = [*models, info, Problem]
    _, schemas = models_json_schema(
        [(model, "validation") for model in types], ref_template="#/components/schemas/{model}"
    )
    headers = {**HEADERS, **(headers or {})}
    ill = {503: PROBLEMS[503]}
    everywhere = {
        "/info": {"get": operation("info", "The model, where it comes from, and the limits", json_of(info.__name__))},
        "/livez": {"get": operation("livez", "503: restart this process", _text(), problems=ill)},
        "/readyz": {"get": operation("readyz", "503: send nothing here now", _text(), problems=ill)},
        "/metrics": {"get": operation("metrics", "For Prometheus", _text())},
        "/docs.json": {"get": operation("docs", "This document", {"application/json": {"schema": {"type": "object"}}})},
        "/": {"get": operation("page", "The page", {"text/html": {"schema": {"type": "string"}}})},
    }
    for path in (*paths.values(), *everywhere.values()):
        for described in path.values():
            described["responses"]["200"]["headers"] = {
                name: {"$ref": f"#/components/headers/{name}"} for name in headers
            }
    return {
        "openapi": "3.1.0",
        "servers": [{"url": "./"}],  # wherever this document is: an API may be served below a prefix
        "info": {**about, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths | everywhere,
        "components": {
            "schemas": schemas["$defs"],
            "headers": {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()},
        },
    }


def operation(
    name: str,
    summary: str,
    content: Json,
    *,
    body: Json | None = None,
    parameters: list[Json] | None = None,
    problems: Mapping[int, str] | None = None,
) -> Json:
    """content, body: media types. problems: what each status means."""
    described: Json = {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": "OK", "content": content}},
    }
    if body:
        described["requestBody"] = {"required": True, "content": body}
    if parameters:
        described["parameters"] = parameters
    for status, meaning in sorted((problems or {}).items()):
        described["responses"][str(status)] = {
            "description": meaning,
            "content": {"application/problem+json": {"schema": reference("Problem")}},
        }
    return described


def work_problems(own: Mapping[int, str]) -> dict[int, str]:
    """An operation's own problems, and those that any work may have."""
    return {**{status: PROBLEMS[status] for status in WORK_PROBLEMS}, **own}


def picture_bodies() -> Json:
    """A picture as the whole body, or as the file of a form."""
    return {**{f"image/{name.lower()}": {"schema": BINARY} for name in (*FORMATS, "HEIC", "HEIF")}, **picture_form(1)}


def picture_form(most: int) -> Json:
    file = BINARY if most == 1 else {"type": "array", "items": BINARY, "minItems": 1, "maxItems": most}
    schema = {"type": "object", "required": ["file"], "properties": {"file": file}}
    return {"multipart/form-data": {"schema": schema, "encoding": {"file": {"contentType": "image/*"}}}}


def query_parameters(query: type[BaseModel]) -> list[Json]:
    """The fields of a type whose values are sent in the query."""
    parameters = []
    for name, schema in query.model_json_schema()["properties"].items():
        schema.pop("title")
        parameters.append({"name": name, "in": "query", "description": schema.pop("description"), "schema": schema})
    return parameters


def json_of(schema: str) -> Json:
    return {"application/json": {"schema": reference(schema)}}


def reference(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def _text() -> Json:
    return {"text/plain": {"schema": {"type": "string"}}}

"""The generation API's description."""

from __future__ import annotations

from pydantic import BaseModel

from components.families.generation.params import Serve
from serving.core import openapi
from serving.core.openapi import PROBLEMS, operation, query_parameters
from serving.generation.schemas import InterpolationQuery, SamplesQuery, limited

REFUSED = {status: PROBLEMS[status] for status in (408, 413, 429, 500, 503)} | {
    422: "a field of the query is wrong, or given more than once"
}
PNG = {"image/png": {"schema": {"type": "string", "contentMediaType": "image/png"}}}


def document(limits: Serve, version: str) -> openapi.Json:
    """version: of the model that is served."""
    about = {
        "title": "Generation",
        "version": version,
        "description": f"Pictures that a network makes, at most {limits.max_pictures} at a time. The same seed and "
        "model make the same pictures.",
    }
    most = limits.max_pictures
    operations: dict[str, tuple[str, str, type[BaseModel]]] = {
        "/samples": ("samples", "A sheet of the pictures of a seed", limited(SamplesQuery, most)),
        "/interpolation": (
            "interpolation",
            "A row of pictures on the way from one seed's to another's",
            limited(InterpolationQuery, most),
        ),
    }
    paths = {
        path: {"get": operation(name, summary, PNG, parameters=query_parameters(query), problems=REFUSED)}
        for path, (name, summary, query) in operations.items()
    }
    return openapi.document(about, paths, [])

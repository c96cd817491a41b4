"""The uncertainty API's description: two paths for each set that the model predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from components.labs.uncertainty.params import Serve
from serving.core import openapi
from serving.core.openapi import Json, json_of, operation, reference, work_problems
from serving.uncertainty.schemas import Prediction, Predictions, Requests

REFUSED = work_problems(
    {
        400: "the body is not JSON",
        415: "the body is not announced as JSON",
        422: "a column is missing, unknown, or no number: `errors` names it",
    }
)


def document(limits: Serve, version: str, sets: Mapping[str, Any], requests: Mapping[str, Requests]) -> Json:
    """version: of the model that is served. sets: of the bundle's spec; requests: the types of each."""
    about = {
        "title": "Uncertainty",
        "version": version,
        "description": "A number, and how sure the model is: intervals, noise, disagreement of its members, how unlike "
        "its training rows a row is, and whether it should be relied on. Values out of the training range are used as "
        f"they are, and named. At most {limits.max_rows} rows a request.",
    }
    paths: Json = {}
    models: list[type[BaseModel]] = [Prediction, Predictions]
    for name, known in sets.items():
        example = {feature["name"]: feature["median"] for feature in known["features"]}
        target = f"{known['target']['name']} {known['target']['unit']}".strip()
        one, many = requests[name]
        models += [one, many]
        paths |= {
            f"/predict/{name}": {
                "post": operation(
                    f"predict_{name}",
                    f"{known['title']}: {target} of one row",
                    json_of("Prediction"),
                    body={"application/json": {"schema": reference(one.__name__), "example": {"features": example}}},
                    problems=REFUSED,
                )
            },
            f"/predict/{name}/batch": {
                "post": operation(
                    f"predict_{name}_batch",
                    f"{known['title']}: {target} of several rows",
                    json_of("Predictions"),
                    body={"application/json": {"schema": reference(many.__name__), "example": {"rows": [example]}}},
                    problems=REFUSED,
                )
            },
        }
    return openapi.document(about, paths, models)

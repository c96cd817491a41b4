"""The transfer API's description."""

from __future__ import annotations

from components.labs.transfer.params import Serve
from serving.core import openapi
from serving.core.openapi import BINARY, Json, json_of, operation, picture_bodies, work_problems
from serving.transfer.schemas import ClassifyAnswer, ForgetAnswer, TeachAnswer

FORGOTTEN = "the taught model was forgotten, or never was"
CLASSIFY = work_problems(
    {
        400: "there is no picture",
        404: FORGOTTEN,
        413: "the body is too large, or the picture has too many pixels",
        415: "it is no picture",
        422: "the picture is damaged, or a field of the query is wrong: `errors` names it",
    }
)
TEACH = work_problems(
    {
        400: "there are no pictures, or the form can't be read",
        413: "the body is too large, or a picture has too many pixels",
        415: "the body is no form, or a file is no picture",
        422: "a picture is damaged, or there are too many pictures, too many categories, or fewer than two",
    }
)
FORGET = {404: FORGOTTEN, 422: "a field of the query is wrong: `errors` names it"}


def document(limits: Serve, version: str, categories: int) -> Json:
    """version: of the model that is served. categories: how many it knows."""
    about = {
        "title": "Transfer",
        "version": version,
        "description": f"What does this photograph show? One of {categories} categories, or of categories that you "
        "teach it with a few pictures each. Pictures are neither stored nor logged; taught models stay in memory, and "
        f"are forgotten after {limits.taught_seconds:.0f} seconds. At most {limits.max_pixels:,} pixels a picture, "
        f"{limits.body_bytes:,} bytes a request.",
    }
    pictures = {"type": "array", "items": BINARY, "minItems": 1, "maxItems": limits.max_files}
    form = {"schema": {"type": "object", "minProperties": 2, "additionalProperties": pictures}}
    paths = {
        "/classify": {
            "post": operation(
                "classify",
                "The five likeliest categories of a photograph",
                json_of("ClassifyAnswer"),
                body=picture_bodies(),
                parameters=[_taught(required=False)],
                problems=CLASSIFY,
            )
        },
        "/teach": {
            "post": operation(
                "teach",
                f"A model of your own categories: pictures as files of a form, each field named as its category. 2 to "
                f"{limits.max_categories} categories, at most {limits.max_files} pictures in all",
                json_of("TeachAnswer"),
                body={"multipart/form-data": form},
                problems=TEACH,
            ),
            "delete": operation(
                "forget",
                "Forget a taught model now",
                json_of("ForgetAnswer"),
                parameters=[_taught(required=True)],
                problems=FORGET,
            ),
        },
    }
    return openapi.document(about, paths, [ClassifyAnswer, TeachAnswer, ForgetAnswer])


def _taught(required: bool) -> Json:
    schema = {"type": "string", "minLength": 1 if required else 0, "maxLength": 64}
    about = "the name of a taught model, as /teach gave it"
    return {"name": "taught", "in": "query", "required": required, "description": about, "schema": schema}

"""The faces API's description."""

from __future__ import annotations

from pydantic import BaseModel

from components.labs.faces.params import Serve
from serving.core import drift_route, openapi, shadow_route
from serving.core.drift import DriftAnswer
from serving.core.openapi import PROBLEMS, Json, json_of, operation, picture_bodies, picture_form, work_problems
from serving.core.shadow import ShadowAnswer
from serving.faces.schemas import (
    AuditAnswer,
    ClassifyAnswer,
    ClassifyBatchAnswer,
    DetectAnswer,
    DetectBatchAnswer,
    FacesInfo,
)

REFUSED = work_problems(
    {
        400: "there is no picture",
        413: "the body is too large, or the picture has too many pixels",
        415: "it is no picture",
        422: "the picture is damaged, or the form holds something else than pictures",
    }
)


def document(limits: Serve, version: str) -> Json:
    """version: of the model that is served."""
    about = {
        "title": "Faces",
        "version": version,
        "description": "Is there a face, and where? By a detector whose fairness was audited. Photographs are neither "
        f"stored nor logged. At most {limits.max_pixels:,} pixels a picture, {limits.body_bytes:,} bytes a request.",
    }
    headers = {"X-Audit": "what the audit says of the model that answered: PASS, WAIVED, FAIL, INSUFFICIENT or NONE"}
    models: list[type[BaseModel]] = [ClassifyAnswer, ClassifyBatchAnswer, DetectAnswer, DetectBatchAnswer, AuditAnswer]
    paths = {**_paths(limits), **drift_route.path(), **shadow_route.path()}
    return openapi.document(about, paths, [*models, DriftAnswer, ShadowAnswer], FacesInfo, headers)


def _paths(limits: Serve) -> Json:
    audit = {
        **json_of("AuditAnswer"),
        "text/html": {"schema": {"type": "string", "description": "the report, where a browser asks"}},
    }
    missing = {404: PROBLEMS[404]}
    return {
        "/classify": {
            "post": operation(
                "classify",
                "Is this crop a face? The largest square in the middle is looked at; it should hold the face with a "
                "little around it",
                json_of("ClassifyAnswer"),
                body=picture_bodies(),
                problems=REFUSED,
            )
        },
        "/classify/batch": {
            "post": operation(
                "classify_batch",
                "Which of these crops are faces?",
                json_of("ClassifyBatchAnswer"),
                body=picture_form(limits.max_files),
                problems=REFUSED,
            )
        },
        "/detect": {
            "post": operation(
                "detect",
                "Where are faces in this photograph?",
                json_of("DetectAnswer"),
                body=picture_bodies(),
                problems=REFUSED,
            )
        },
        "/detect/batch": {
            "post": operation(
                "detect_batch",
                "Where are faces in these photographs?",
                json_of("DetectBatchAnswer"),
                body=picture_form(limits.max_files),
                problems=REFUSED,
            )
        },
        "/audit": {
            "get": operation(
                "audit", "How fairly this very model finds faces, as it was audited", audit, problems=missing
            )
        },
        "/card": {
            "get": operation(
                "card",
                "The model card of this very model",
                {"text/markdown": {"schema": {"type": "string"}}},
                problems=missing,
            )
        },
    }

"""The digits API's description."""

from __future__ import annotations

from components.families.classification.params import Serve
from components.families.classification.runtime import SIZE
from serving.core import drift_route, openapi, shadow_route
from serving.core.drift import DriftAnswer
from serving.core.openapi import Json, json_of, operation, picture_bodies, reference, work_problems
from serving.core.shadow import ShadowAnswer
from serving.digits.schemas import ReadAnswer, ReadRequest

REFUSED = work_problems(
    {
        400: "there is no picture, or the body is not JSON",
        413: "the body is too large, or the picture has too many pixels",
        415: "it is no picture",
        422: "the picture is damaged, there is nothing on it, or there are more marks than digits that are read; or a "
        "field is wrong: `errors` names it",
    }
)
STROKE = [[255 if 4 <= row < 24 and 13 <= column < 15 else 0 for column in range(SIZE)] for row in range(SIZE)]


def document(limits: Serve, version: str) -> Json:
    """version: of the model that is served."""
    about = {
        "title": "Digits",
        "version": version,
        "description": "Which digits are these? Drawings are neither stored nor logged. At most "
        f"{limits.max_digits} digits and {limits.max_pixels:,} pixels a picture, {limits.body_bytes:,} bytes a "
        "request.",
    }
    json_body = {"schema": reference("ReadRequest"), "example": {"image": STROKE}}
    read = operation(
        "read",
        "Read the digits on a picture, from left to right, each with its box: dark on light or the reverse, without a "
        "shadow's edge across it, on plain, lined or squared paper. Each is framed as MNIST is before it is read. Or "
        "read 28 x 28 numbers of one digit, as they are. `abstain` says that it is probably no digit",
        json_of("ReadAnswer"),
        body={"application/json": json_body, **picture_bodies()},
        problems=REFUSED,
    )
    paths = {"/read": {"post": read}, **drift_route.path(), **shadow_route.path()}
    return openapi.document(about, paths, [ReadRequest, ReadAnswer, DriftAnswer, ShadowAnswer])

"""An API's description as schemathesis checks it, and what is sent where it asks for a picture."""

from __future__ import annotations

import io
from typing import Any

import schemathesis
from hypothesis import strategies as st
from PIL import Image

from serving.core.pictures import FORMATS

REJECTED = {"expected-statuses": ["4xx"]}
"""Answers to what a schema forbids: a text that is too long may be too large a body, which is a 413."""


def schema_of(description: dict[str, Any]) -> schemathesis.schemas.BaseSchema:
    config = schemathesis.Config.from_dict({"checks": {"negative_data_rejection": REJECTED}})
    return schemathesis.openapi.from_dict(description, config=config)


def picture(kind: str, side: int) -> bytes:
    content = io.BytesIO()
    Image.effect_noise((side, side), 60).convert("RGB").save(content, kind)
    return content.getvalue()


def register_pictures() -> None:
    """Real pictures of each format, and bytes that are none."""
    for name in FORMATS:
        pictures = st.sampled_from([picture(name, side) for side in (1, 40, 200)])
        schemathesis.openapi.media_type(f"image/{name.lower()}", pictures | st.binary(max_size=200))

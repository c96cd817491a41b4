"""What schemathesis sends where a description asks for a picture."""

from __future__ import annotations

import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image

from serving.pictures import FORMATS


def picture(kind: str, side: int) -> bytes:
    content = io.BytesIO()
    Image.effect_noise((side, side), 60).convert("RGB").save(content, kind)
    return content.getvalue()


def register() -> None:
    """Real pictures of each format, and bytes that are none."""
    for name in FORMATS:
        pictures = st.sampled_from([picture(name, side) for side in (1, 40, 200)])
        schemathesis.openapi.media_type(f"image/{name.lower()}", pictures | st.binary(max_size=200))

"""From untrusted bytes to pixels: what is no picture or too large is refused before it is decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.Image import Resampling, Transpose

from serving.core.problems import RefusalError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""Pillow knows dozens more, and each decoder is a way in."""
MAX_SCANS = 100
"""Most scans of a JPEG. A progressive one has about ten; thousands of empty ones make a small file take minutes."""
ORIENTATION = 0x0112
TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""What sets a picture upright, by its EXIF orientation."""
SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True)
class Picture:
    """A picture whose header was read. width, height: in pixels, as it is to be looked at."""

    image: Image.Image
    orientation: int

    @property
    def width(self) -> int:
        return self.image.height if self.orientation in SIDEWAYS else self.image.width

    @property
    def height(self) -> int:
        return self.image.width if self.orientation in SIDEWAYS else self.image.height


def open_picture(content: bytes, max_pixels: int) -> Picture:
    """Reads the header only. Raises RefusalError: 400 nothing there, 415 not a picture, 413 more than max_pixels."""
    if not content:
        raise RefusalError(400, "there is no picture: the body is empty")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        pixels = image.width * image.height
    except Image.DecompressionBombError:
        raise _too_large(max_pixels) from None
    except Exception:  # noqa: BLE001 - whatever a decoder makes of untrusted bytes, they are no picture
        raise RefusalError(415, f"this is not a picture in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}") from None
    if pixels > max_pixels:
        raise _too_large(max_pixels)
    if image.format == "JPEG" and content.count(b"\xff\xda") > MAX_SCANS:
        raise RefusalError(422, f"the picture is stored in more than {MAX_SCANS} scans")
    return Picture(image, _orientation(image))


def decode(picture: Picture, least: tuple[int, int]) -> Image.Image:
    """The pixels, RGB and upright; transparent parts are white, of an animation the first frame is taken.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size where neither side then falls below `least` (width, height).
    Raises RefusalError (422) where the picture is damaged.
    """
    image = picture.image
    try:
        image.draft("RGB", least[::-1] if picture.orientation in SIDEWAYS else least)
        image.load()
        image = _rgb(image)
        return image.transpose(TURNS[picture.orientation]) if picture.orientation in TURNS else image
    except Exception:  # noqa: BLE001 - whatever a decoder says of untrusted bytes, they are damaged
        raise RefusalError(422, "the picture is damaged: its pixels can't be read") from None


def grey_levels(image: Image.Image) -> np.ndarray:
    """(H, W) uint8 of an image with 16 bits a pixel, which Pillow itself would cut off at 255."""
    values = np.asarray(image)
    levels: np.ndarray = (np.clip(values, 0, 65535).astype(np.uint16) >> 8).astype(np.uint8)
    return levels


def middle_square(image: Image.Image, side: int) -> Image.Image:
    """The largest square in the middle, reduced to side x side."""
    shorter = min(image.size)
    left, top = (image.width - shorter) / 2, (image.height - shorter) / 2
    return image.resize((side, side), Resampling.BILINEAR, box=(left, top, left + shorter, top + shorter))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray(grey_levels(image)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """1, upright, where EXIF says nothing or is damaged: a picture can be looked at without it."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - as above
        return 1
    return found if isinstance(found, int) else 1


def _too_large(max_pixels: int) -> RefusalError:
    return RefusalError(413, f"the picture has more than {max_pixels:,} pixels: make it smaller")

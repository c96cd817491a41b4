"""From untrusted bytes to pixels: what is no picture or too large is refused before it is decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import AvifImagePlugin, Image
from PIL.Image import Resampling, Transpose
from PIL.TiffImagePlugin import TiffImageFile

from components.config import PictureLimits
from serving.core import tiff
from serving.core.heic import HeicImage, is_cut_off, is_heic
from serving.core.jpeg import jpeg_header
from serving.core.problems import RefusalError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""Pillow knows dozens more, and each decoder is a way in. HEIC is read beside them."""
SLOW = ("HEIC", "AVIF")
"""Their pixels take ten times as long as those of others."""
COMPACT = 4
"""Bytes a pixel that the decoder of a progressive JPEG keeps: 3 where colours have half the resolution, 6 in full."""
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
    """A picture whose header was read. size: (width, height) as stored; max_decoded: pixels that may be made of it."""

    image: Image.Image | HeicImage
    size: tuple[int, int]
    max_decoded: int

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]

    @property
    def slow(self) -> bool:
        return self.image.format in SLOW

    @property
    def width(self) -> int:
        """In pixels, as it is to be looked at. Of a PNG, this decodes it."""
        return self.size[self.orientation in SIDEWAYS]

    @property
    def height(self) -> int:
        return self.size[self.orientation not in SIDEWAYS]

    @cached_property
    def orientation(self) -> int:
        """By its EXIF; 1, upright, where that says nothing or is damaged: a picture can be looked at without it."""
        if isinstance(self.image, HeicImage | TiffImageFile):
            return 1  # their decoders turn them
        try:
            if self.image.format == "PNG":
                self.image.load()  # a PNG may say so after its pixels
            exif = Image.Exif()
            exif.load(self.image.info.get("exif", b""))  # not XMP, which browsers do not heed
            found = exif.get(ORIENTATION, 1)
        except Exception:  # noqa: BLE001 - whatever a decoder makes of untrusted bytes
            return 1
        return found if isinstance(found, int) else 1


def open_picture(content: bytes, limits: PictureLimits) -> Picture:
    """Reads the header only. Raises RefusalError: 400 nothing there, 415 not a picture, 413 too many pixels."""
    if not content:
        raise RefusalError(400, "there is no picture: the body is empty")
    most = _most_pixels(content, limits)
    Image.MAX_IMAGE_PIXELS = most  # beyond twice as many, Pillow makes no room for a WebP's canvas
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # or one for each core of the machine
    image: Image.Image | HeicImage
    try:
        image = HeicImage(content) if is_heic(content) else Image.open(io.BytesIO(content), formats=FORMATS)
        size = image.width, image.height
    except Image.DecompressionBombError:
        raise _too_large(most) from None
    except Exception:  # noqa: BLE001 - whatever a decoder makes of untrusted bytes, they are no picture
        raise RefusalError(415, f"this is not a picture in {', '.join(FORMATS)} or HEIC") from None
    if size[0] * size[1] > most:
        raise _too_large(most)
    if isinstance(image, HeicImage) and is_cut_off(content):
        raise _damaged()
    if isinstance(image, TiffImageFile) and (fault := tiff.fault(image, most)):
        raise RefusalError(415, fault)
    return Picture(image, size, limits.max_compact_pixels if isinstance(image, HeicImage) else limits.max_pixels)


def decode(picture: Picture, least: tuple[int, int]) -> Image.Image:
    """The pixels, RGB and upright; transparent parts are white, of several frames or pages the first is taken.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size, and a HEIC is reduced, where neither side then falls below `least`
    (width, height). Raises RefusalError: 422 where the picture is damaged, 413 where it stays too large.
    """
    image = picture.image
    try:
        if isinstance(image, HeicImage):
            return _rgb(image.reduced(least))
        image.draft("RGB", least[::-1] if picture.orientation in SIDEWAYS else least)
        if image.width * image.height > picture.max_decoded:
            raise _too_large(picture.max_decoded)
        image.load()
        made = _rgb(image)
        made = made.transpose(TURNS[picture.orientation]) if picture.orientation in TURNS else made
        if made is not image:
            image.close()  # its pixels are as many again, and the next picture is decoded before this one is let go
        return made
    except RefusalError:
        raise
    except Exception:  # noqa: BLE001 - whatever a decoder says of untrusted bytes, they are damaged
        raise _damaged() from None


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
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _most_pixels(content: bytes, limits: PictureLimits) -> int:
    """Pixels of a picture that is stored as this one, by the memory that its decoder takes. Raises RefusalError."""
    if is_heic(content):
        return limits.max_compact_pixels
    if not content.startswith(b"\xff\xd8\xff"):
        return limits.max_pixels
    header = jpeg_header(content)
    if header.row_by_row:
        return limits.max_jpeg_pixels
    return limits.max_compact_pixels if header.bytes_per_pixel <= COMPACT else limits.max_pixels


def _damaged() -> RefusalError:
    return RefusalError(422, "the picture is damaged: its pixels can't be read")


def _too_large(max_pixels: int) -> RefusalError:
    return RefusalError(413, f"the picture has more than {max_pixels:,} pixels: make it smaller")

"""HEIC, the format of iPhones' photographs: decoded whole by libheif, and reduced without a second copy."""

from __future__ import annotations

import _pillow_heif
import numpy as np
from PIL import Image

BRANDS = {b"heic", b"heix", b"heim", b"heis"}
BYTES = {"RGB": 3, "RGBA": 4, "RGBa": 4, "L": 1, "LA": 2, "La": 2}
"""Bytes of a pixel, by mode. 10 and 12 bits are decoded to 8."""
MAX_BOXES = 1000
"""Boxes of a file that are looked at; a photograph has about five."""
STRIP = 512
"""Rows that are reduced at a time, about."""


def is_heic(content: bytes) -> bool:
    """By the brands that the file says it can be read as (ISO/IEC 14496-12, box `ftyp`)."""
    if content[4:8] != b"ftyp":
        return False
    brands = content[8 : min(int.from_bytes(content[:4]), 256)]
    return any(brands[at : at + 4] in BRANDS for at in (0, *range(8, len(brands), 4)))


def is_cut_off(content: bytes) -> bool:
    """Whether a box of the file ends after the file does. libheif would leave out the tiles that are missing."""
    at = 0
    for _ in range(MAX_BOXES):
        if at + 8 > len(content):
            break
        size = int.from_bytes(content[at : at + 4])
        if size == 1:
            size = int.from_bytes(content[at + 8 : at + 16])
        if size < 8:  # 0: to the file's end
            break
        at += size
    return at > len(content)


class HeicImage:
    """The primary image of a HEIC file, of which the header was read.

    width, height: in pixels, as it is to be looked at: libheif turns it as its transformations say, which alone count
    (its EXIF does not). Other images, thumbnails, depth maps and metadata are left alone.
    """

    format = "HEIC"

    def __init__(self, content: bytes) -> None:
        """Raises what the decoder makes of untrusted bytes."""
        # pillow_heif's own classes read the metadata of every image of the file, each of which may be the whole file.
        images, _ = _pillow_heif.load_file(content, 1, True, False, False, False, "", False)
        self._image = next(image for image in images if image is not None and image.primary)
        (self.width, self.height), self._mode = self._image.size_mode

    def reduced(self, least: tuple[int, int]) -> Image.Image:
        """The pixels, each the mean of a square of them; neither side falls below `least` (width, height).

        Raises what the decoder makes of untrusted bytes.
        """
        channels = BYTES[self._mode]
        plane = np.frombuffer(self._image.data, np.uint8).reshape(-1, self._image.stride)
        width, height = self._image.size_mode[0]
        pixels = plane[:height, : width * channels].reshape(height, width, channels)
        factor = max(1, min(width // least[0], height // least[1]))
        made = Image.new(self._mode, (-(-width // factor), -(-height // factor)))
        rows = max(1, STRIP // factor) * factor
        for top in range(0, height, rows):
            strip = np.ascontiguousarray(pixels[top : top + rows])
            part = Image.frombuffer(self._mode, (width, len(strip)), strip, "raw", self._mode, 0, 1)
            made.paste(part.reduce(factor) if factor > 1 else part, (0, top // factor))
        return made

"""TIFF is a family of formats: which of them are photographs that can be read."""

from __future__ import annotations

from PIL.TiffImagePlugin import TiffImageFile

SUBFILE, TILE_WIDTH, TILE_LENGTH, PHOTOMETRIC, DNG = 254, 322, 323, 262, 50706
REDUCED = 1
"""Bit of SUBFILE: this is a smaller version of another image of the file."""
WHITE_IS_ZERO = 0
MODES = {"1", "L", "LA", "La", "I;16", "I;16B", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


def fault(image: TiffImageFile, max_pixels: int) -> str:
    """Why its first page cannot be read as a photograph, or nothing. Reads tags only."""
    tags = image.tag_v2
    if DNG in tags or tags.get(SUBFILE, 0) & REDUCED:
        return "this is a camera's raw file: develop it, and send a JPEG"
    if image.mode not in MODES or (image.mode.startswith("I") and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO):
        return f"this TIFF stores its pixels as {image.mode}, which is not read here: save it with 8 bits a colour"
    # Whatever its size, a decoder makes room for one of its tiles.
    if tags.get(TILE_WIDTH, 1) * tags.get(TILE_LENGTH, 1) > max_pixels:
        return f"this TIFF is stored in tiles of more than {max_pixels:,} pixels: save it again as another format"
    return ""

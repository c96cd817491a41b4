"""Pictures and things that claim to be, as strangers send them: what every API that takes pictures must bear."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

Make = Callable[[Image.Image], bytes]


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def jpeg(image: Image.Image, **options: Any) -> bytes:
    return saved(image, "JPEG", quality=90, **options)


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand, for what Pillow does not write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def sixteen_bits(image: Image.Image) -> bytes:
    rows = np.asarray(image.convert("RGB")).astype(">u2") * 257
    return png(*image.size, 16, 2, b"".join(b"\0" + row.tobytes() for row in rows))


def sixteen_bit_grey(image: Image.Image) -> bytes:
    return saved(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), "PNG")


def turned(image: Image.Image, orientation: int, turn: Image.Transpose) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(image.transpose(turn), exif=exif)


def animated(image: Image.Image, kind: str) -> bytes:
    other = Image.new("RGB", image.size, "red")
    return saved(image, kind, save_all=True, append_images=[other, other], duration=100)


def with_alpha(image: Image.Image) -> bytes:
    """The picture, opaque, with black hidden where it is transparent: around it, one pixel wide."""
    whole = Image.new("RGBA", image.size, (0, 0, 0, 0))
    whole.paste(image, box=(1, 1), mask=None)
    return saved(whole, "PNG")


def resized_in_header(image: Image.Image) -> bytes:
    """A JPEG that claims 20,000 x 20,000 pixels."""
    content = bytearray(jpeg(image))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", 20_000, 20_000)
    return bytes(content)


def many_scans(image: Image.Image) -> bytes:
    content = jpeg(image, progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + 200 * content[last:-2] + content[-2:]


def noise(image: Image.Image) -> bytes:
    return b"\xff\xd8\xff\xe0" + random.Random(0).randbytes(5000)  # noqa: S311


@cache
def large() -> bytes:
    """As many pixels as are allowed, all of them transparent."""
    return png(5000, 5000, 8, 6, bytes(5000 * (1 + 4 * 5000)))


THE_SAME: dict[str, Make] = {
    "jpeg": jpeg,
    "progressive jpeg": lambda image: jpeg(image, progressive=True),
    "cmyk": lambda image: jpeg(image.convert("CMYK")),
    "png": lambda image: saved(image, "PNG"),
    "bmp": lambda image: saved(image, "BMP"),
    "webp": lambda image: saved(image, "WEBP", quality=95),
    "palette": lambda image: saved(image.quantize(256), "PNG"),
    "16 bits": sixteen_bits,
    "alpha": with_alpha,
    "animated gif": lambda image: animated(image, "GIF"),
    "animated webp": lambda image: animated(image, "WEBP"),
    "animated png": lambda image: animated(image, "PNG"),
    "exif, lying on its left side": lambda image: turned(image, 6, Image.Transpose.ROTATE_90),
    "exif, upside down": lambda image: turned(image, 3, Image.Transpose.ROTATE_180),
    "exif, mirrored": lambda image: turned(image, 5, Image.Transpose.TRANSPOSE),
    "exif that is no exif": lambda image: jpeg(image, exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff" + b"x" * 50),
    "three times as large": lambda image: jpeg(image.resize((3 * image.width, 3 * image.height))),
}
"""Ways to write a picture that make no other picture of it."""

GREY: dict[str, Make] = {
    "grey": lambda image: jpeg(image.convert("L")),
    "grey with alpha": lambda image: saved(image.convert("LA"), "PNG"),
    "16-bit grey": sixteen_bit_grey,
}
"""Without its colours."""

ANSWERED: dict[str, Make] = {
    "one pixel": lambda _: saved(Image.new("RGB", (1, 1), "white"), "PNG"),
    "one pixel, jpeg": lambda _: jpeg(Image.new("L", (1, 1))),
    "a thread": lambda _: saved(Image.new("RGB", (1, 20_000)), "PNG"),
    "black and white": lambda image: saved(image.convert("1"), "PNG"),
    "25 million pixels with alpha": lambda _: large(),
}
"""Odd, but pictures."""

REFUSED: dict[str, tuple[int, Make]] = {
    "nothing": (400, lambda _: b""),
    "text": (415, lambda _: b"not a picture, though it may be called photo.jpg"),
    "an address": (415, lambda _: b"http://127.0.0.1/info"),
    "a page": (415, lambda _: b"<!doctype html><img src=photo.jpg>"),
    "a drawing": (415, lambda _: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    "postscript": (415, lambda _: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"),
    "tiff": (415, lambda image: saved(image, "TIFF")),
    "icon": (415, lambda image: saved(image, "ICO")),
    "zip": (415, lambda _: b"PK\x03\x04" + bytes(100)),
    "the beginning of a jpeg": (415, lambda image: jpeg(image)[:50]),
    "noise that begins like a jpeg": (415, noise),
    "half a jpeg": (422, lambda image: jpeg(image)[: len(jpeg(image)) // 2]),
    "half a png": (422, lambda image: saved(image, "PNG")[: len(saved(image, "PNG")) // 2]),
    "half a webp": (415, lambda image: saved(image, "WEBP")[: len(saved(image, "WEBP")) // 2]),
    "half a gif": (422, lambda image: saved(image, "GIF")[: len(saved(image, "GIF")) // 2]),
    "a png without pixels": (422, lambda _: png(50, 50, 8, 2, b"")),
    "a png of the wrong checksum": (415, lambda image: saved(image, "PNG").replace(b"IDAT", b"IDAX")),
    "20,000 x 20,000": (413, lambda _: png(20_000, 20_000, 1, 0, bytes(20_000 * 2501))),
    "20,000 x 20,000 in the header": (413, resized_in_header),
    "65,535 x 65,535": (413, lambda image: b"GIF89a\xff\xff\xff\xff" + saved(image, "GIF")[10:]),
    "2,000,000,000 x 2,000,000,000": (413, lambda _: png(2_000_000_000, 2_000_000_000, 8, 2, bytes(100))),
    "200 scans": (422, many_scans),
}
"""With the status that says why."""

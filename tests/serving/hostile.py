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
import pillow_heif
from PIL import Image, TiffImagePlugin

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


def heic(image: Image.Image, **options: Any) -> bytes:
    content = io.BytesIO()
    pillow_heif.from_pillow(image).save(content, quality=90, enc_params={"preset": "ultrafast"}, **options)
    return content.getvalue()


def lying(image: Image.Image) -> tuple[Image.Image, Image.Exif]:
    """The picture on its left side, and the EXIF that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return image.transpose(Image.Transpose.ROTATE_90), exif


def lying_heic(image: Image.Image) -> bytes:
    on_its_side, exif = lying(image)
    return heic(on_its_side, exif=exif.tobytes())


def lying_avif(image: Image.Image) -> bytes:
    on_its_side, exif = lying(image)
    return saved(on_its_side, "AVIF", quality=90, speed=10, exif=exif)


def tiff(image: Image.Image, tags: dict[int, Any] | None = None, **options: Any) -> bytes:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in (tags or {}).items():
        directory[tag] = value
    return saved(image, "TIFF", tiffinfo=directory, **options)


def huge_tile(_: Image.Image) -> bytes:
    """A TIFF of 16 x 16 pixels in one tile of 30,000 x 30,000, for which a decoder would make room."""
    tags = [
        (256, 16),
        (257, 16),
        (258, 8),
        (259, 8),
        (262, 1),
        (277, 1),
        (322, 30_000),
        (323, 30_000),
        (324, 8),
        (325, 9),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def animated(image: Image.Image, kind: str) -> bytes:
    other = Image.new("RGB", image.size, "red")
    return saved(
        image, kind, save_all=True, append_images=[other, other], **({} if kind == "TIFF" else {"duration": 100})
    )


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
    "animated avif": lambda image: animated(image, "AVIF"),
    "avif": lambda image: saved(image, "AVIF", quality=90, speed=10),
    "heic": heic,
    "heic in tiles": lambda image: heic(image, tile_size=64),
    "tiff": lambda image: saved(image, "TIFF"),
    "tiff, packed": lambda image: saved(image, "TIFF", compression="tiff_lzw"),
    "tiff, cmyk": lambda image: saved(image.convert("CMYK"), "TIFF"),
    "tiff, palette": lambda image: saved(image.quantize(256), "TIFF"),
    "tiff, several pages": lambda image: animated(image, "TIFF"),
    "exif, heic, lying on its left side": lying_heic,
    "exif, avif, lying on its left side": lying_avif,
    "exif, tiff, lying on its left side": lambda image: tiff(image.transpose(Image.Transpose.ROTATE_90), {0x0112: 6}),
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
    "16-bit grey tiff": lambda image: saved(Image.open(io.BytesIO(sixteen_bit_grey(image))), "TIFF"),
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
    "tiff of fractions": (415, lambda image: saved(image.convert("F"), "TIFF")),
    "tiff in one huge tile": (415, huge_tile),
    "a camera's raw file": (415, lambda image: tiff(image, {50706: bytes((1, 4, 0, 0))})),
    "half a tiff": (415, lambda image: saved(image, "TIFF", compression="tiff_lzw")[:5000]),
    "half a heic": (422, lambda image: heic(image)[: len(heic(image)) // 2]),
    "half an avif": (415, lambda image: saved(image, "AVIF", speed=10)[:700]),
    "heic without pictures": (415, lambda _: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)),
    "a million segments": (415, lambda _: b"\xff\xd8" + 1_000_000 * b"\xff\xe5\0\4ab"),
    "a jpeg of padding": (415, lambda _: b"\xff\xd8" + 5_000_000 * b"\xff"),
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

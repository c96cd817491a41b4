"""Pictures of strangers cost no more memory than their limits say, and their headers are read without their pixels."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile

from components.config import PictureLimits
from serving.core.jpeg import jpeg_header
from serving.core.openapi import picture_bodies
from serving.core.pictures import decode, grey_levels, middle_square, open_picture
from serving.core.problems import RefusalError
from serving.page import render
from tests.serving.hostile import heic, jpeg, lying_heic, png, saved
from tests.serving.servers import PROJECT, params_of

LIMITS: PictureLimits = params_of("faces").serve
SMALL = LIMITS.model_copy(update={"max_pixels": 5_000, "max_compact_pixels": 10_000, "max_jpeg_pixels": 1_000_000})
PEAK = """
import sys
from pathlib import Path
from serving.core.pictures import decode, open_picture
from tests.serving.servers import params_of

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

content = Path(sys.argv[1]).read_bytes()
before = peak()
image = decode(open_picture(content, params_of("faces").serve), (224, 224))
print(*image.size, peak() - before)
"""


@pytest.mark.parametrize(("options", "megabytes"), [({}, 40), ({"progressive": True}, 220)])
def test_a_photograph_of_48_megapixels_is_read_without_48_million_pixels(
    options: dict[str, Any], megabytes: int, tmp_path: Path
) -> None:
    """All of them would take 192 MB. A progressive one keeps its coefficients, at most twice 3 bytes a pixel."""
    path = tmp_path / "photo.jpg"
    plain(8064, 6048).save(path, **options)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    width, height, peak = map(float, done.stdout.split())
    assert (width, height) == (1008, 756)
    assert peak < megabytes


def plain(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), "grey")


@pytest.mark.parametrize(
    ("content", "width"),
    [
        (saved(plain(64, 70), "PNG"), 64),
        (saved(plain(64, 90), "PNG"), 0),
        (saved(plain(64, 90), "TIFF"), 0),
        (saved(plain(64, 90), "AVIF", speed=10), 0),
        (heic(plain(64, 90)), 64),
        (heic(plain(96, 128)), 0),
        (jpeg(plain(96, 64), progressive=True), 96),
        (jpeg(plain(128, 96), progressive=True), 0),
        (jpeg(plain(96, 64), progressive=True, subsampling="4:2:2"), 96),
        (jpeg(plain(96, 64), progressive=True, subsampling="4:4:4"), 0),
        (jpeg(plain(64, 90).convert("CMYK"), progressive=True), 0),
        (jpeg(plain(800, 600)), 800),
        (jpeg(plain(1200, 1000)), 0),
    ],
)
def test_how_many_pixels_are_taken_depends_on_what_they_cost(content: bytes, width: int) -> None:
    if width:
        assert open_picture(content, SMALL).width == width
        return
    with pytest.raises(RefusalError) as refused:
        open_picture(content, SMALL)
    assert refused.value.status == 413


def claimed(kind: str, width: int, height: int) -> bytes:
    """A picture whose header claims so many pixels; there are fewer."""
    if kind == "png":
        return png(width, height, 8, 2, b"")
    content = bytearray(jpeg(plain(64, 64), progressive=kind == "progressive jpeg"))
    at = content.index(b"\xff\xc2" if kind == "progressive jpeg" else b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


@pytest.mark.parametrize("lab", ["faces", "digits", "transfer"])
@pytest.mark.parametrize(
    ("kind", "limit"),
    [("png", "max_pixels"), ("progressive jpeg", "max_compact_pixels"), ("jpeg", "max_jpeg_pixels")],
)
def test_each_api_refuses_the_first_pixel_too_many_and_every_size_above(kind: str, limit: str, lab: str) -> None:
    """Pillow's own limit lies at twice as many: between both, only this one refuses."""
    limits: PictureLimits = params_of(lab).serve
    most = getattr(limits, limit)
    width = 5000
    assert open_picture(claimed(kind, width, most // width), limits).pixels <= most
    for height in (most // width + 1, round(1.5 * most / width), 2 * most // width, 3 * most // width):
        if height > 65_500 and kind != "png":
            continue  # no JPEG is that high
        with pytest.raises(RefusalError) as refused:
            open_picture(claimed(kind, width, height), limits)
        assert refused.value.status == 413
        assert f"{most:,} pixels" in refused.value.detail


def test_a_jpeg_too_narrow_to_be_reduced_is_refused_before_its_pixels_are_made() -> None:
    content = jpeg(plain(4000, 60))
    with pytest.raises(RefusalError) as refused:
        decode(open_picture(content, SMALL), (50, 50))
    assert refused.value.status == 413
    assert decode(open_picture(content, SMALL), (7, 7)).size == (500, 8)


def test_a_jpeg_with_a_scan_for_each_colour_is_not_taken_for_one_that_is_read_row_by_row() -> None:
    content = jpeg(plain(64, 64))
    assert jpeg_header(content).row_by_row
    at = content.index(b"\xff\xda")
    first = content[:at] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + content[at + 14 :]
    assert not jpeg_header(first).row_by_row
    progressive = jpeg_header(jpeg(plain(64, 64), progressive=True))
    assert (progressive.row_by_row, progressive.bytes_per_pixel) == (False, 3)


def test_opening_a_png_leaves_its_pixels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow decodes a PNG to look for its EXIF, and a picture is opened in the event loop."""
    exif = Image.Exif()
    exif[0x0112] = 6
    content = saved(plain(40, 20), "PNG", exif=exif)
    loaded = []
    load = PngImageFile.load

    def noted(image: PngImageFile) -> object:
        loaded.append(image)
        return load(image)

    monkeypatch.setattr(PngImageFile, "load", noted)
    picture = open_picture(content, LIMITS)
    assert picture.pixels == 800
    assert loaded == []
    assert (picture.width, picture.height) == (20, 40)
    assert decode(picture, (1, 1)).size == (20, 40)


@pytest.mark.parametrize("make", [heic, lying_heic])
def test_a_heic_is_reduced_to_what_is_asked_for(make: Callable[[Image.Image], bytes]) -> None:
    image = Image.radial_gradient("L").resize((700, 550)).convert("RGB")
    picture = open_picture(make(image), LIMITS)
    assert (picture.width, picture.height) == (700, 550)
    found = decode(picture, (200, 180))
    assert found.size == (234, 184)
    expected = np.asarray(image.reduce(3)).astype(float)
    assert np.abs(np.asarray(found) - expected).mean() < 4


@given(st.sampled_from([b"\xff\xd8\xff", b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypavif", b"II*\0", b""]), st.binary())
@settings(deadline=None, max_examples=200)
def test_any_bytes_are_a_picture_or_refused(head: bytes, rest: bytes) -> None:
    try:
        decode(open_picture(head + rest, LIMITS), (64, 64))
    except RefusalError as refusal:
        assert refusal.status in (400, 413, 415, 422)


@given(st.integers(0, 3000), st.integers(0, 255))
@settings(deadline=None, max_examples=60)
def test_a_heic_with_a_wrong_byte_is_a_picture_or_refused(at: int, value: int) -> None:
    content = bytearray(HEIC)
    content[at % len(content)] = value
    try:
        decode(open_picture(bytes(content), LIMITS), (16, 16))
    except RefusalError as refusal:
        assert refusal.status in (413, 415, 422)


HEIC = heic(plain(64, 64))


def test_pages_offer_the_types_that_the_server_reads() -> None:
    types = {name for name in picture_bodies() if name.startswith("image/")}
    for lab in ("faces", "digits", "transfer"):
        (accepted,) = set(re.findall(r'accept="(.*?)"', render(lab)))
        assert {name for name in accepted.split(",") if name.startswith("image/")} == types
        assert ".heic" in accepted


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_camera_says(orientation: int) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = orientation
    stored = io.BytesIO()
    image.save(stored, "png", exif=exif)
    found = decode(open_picture(stored.getvalue(), LIMITS), (1, 1))
    expected = ImageOps.exif_transpose(Image.open(stored))
    assert np.array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("least", "size"),
    [((200, 400), (200, 800)), ((201, 400), (400, 1600)), ((200, 801), (400, 1600)), ((400, 200), (400, 1600))],
)
def test_a_jpeg_is_reduced_no_further_than_both_sides_of_what_is_asked_for_however_it_is_turned(
    orientation: int, least: tuple[int, int], size: tuple[int, int]
) -> None:
    """As it is looked at it has 400 x 1600 pixels."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = plain(1600, 400) if orientation in (5, 6, 7, 8) else plain(400, 1600)
    picture = open_picture(jpeg(stored, exif=exif), LIMITS)
    assert (picture.width, picture.height) == (400, 1600)
    assert decode(picture, least).size == size


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"])
def test_pixels_are_red_green_and_blue_however_they_are_stored(mode: str) -> None:
    image = Image.new("RGB", (4, 3), "red").convert(mode)
    found = decode(open_picture(saved(image, "TIFF"), LIMITS), (1, 1))
    assert found.mode == "RGB"
    assert np.abs(np.asarray(found).astype(int) - np.asarray(image.convert("RGB"))).max() < 3


@pytest.mark.parametrize(
    ("size", "box"), [((9, 4), (2.5, 0, 6.5, 4)), ((4, 9), (0, 2.5, 4, 6.5)), ((4, 4), (0, 0, 4, 4))]
)
def test_the_middle_square_is_the_largest_in_the_middle(
    size: tuple[int, int], box: tuple[float, float, float, float]
) -> None:
    width, height = size
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
    expected = image.resize((4, 4), Image.Resampling.BILINEAR, box=box)
    assert np.array_equal(np.asarray(middle_square(image, 4)), np.asarray(expected))


def test_grey_levels_keep_the_upper_half_of_16_bits() -> None:
    image = Image.fromarray(np.array([[0, 255, 256, 32768, 65535, 65536, 70000]], np.int32))
    assert grey_levels(image).tolist() == [[0, 0, 1, 128, 255, 255, 255]]

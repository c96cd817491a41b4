"""The header of a JPEG: whether its pixels can be read row by row."""

from __future__ import annotations

import re
from dataclasses import dataclass

from serving.core.problems import RefusalError

MARKER = re.compile(rb"\xff([^\x00\xff])")
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers that no segment follows."""
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
ROW_BY_ROW = {0xC0, 0xC1}
"""Sequential frames, Huffman-coded: baseline and extended."""
MAX_SEGMENTS = 1000
MAX_JUNK = 4096
"""Bytes between two segments. Pillow walks over them one by one, and a file of nothing else would take seconds."""
MAX_SCANS = 100
"""Most scans of a JPEG. A progressive one has about ten; thousands of empty ones make a small file take minutes."""


@dataclass(frozen=True)
class JpegHeader:
    """row_by_row: the first scan holds all colours, so that a decoder keeps a few rows only. bytes_per_pixel: what it
    keeps of another JPEG whatever the scale: two bytes a coefficient, of every component."""

    row_by_row: bool
    bytes_per_pixel: float


def jpeg_header(content: bytes) -> JpegHeader:
    """Reads up to the first scan. Raises RefusalError: 415 for no JPEG, 422 for more scans than an honest one has."""
    if content.count(b"\xff\xda") > MAX_SCANS:
        raise RefusalError(422, f"the picture is stored in more than {MAX_SCANS} scans")
    at, frame, factors = 0, 0, b""
    for _ in range(MAX_SEGMENTS):
        found = MARKER.search(content, at, at + MAX_JUNK)
        if not found:
            break
        at, marker = found.end(), found[1][0]
        if marker == END_OF_IMAGE:
            break
        if marker in ALONE:
            continue
        if marker in FRAMES:
            frame, components = marker, int.from_bytes(content[at + 7 : at + 8])
            factors = content[at + 9 : at + 8 + 3 * components : 3]
        if marker == START_OF_SCAN:
            together = content[at + 2 : at + 3] == bytes([len(factors)])
            return JpegHeader(frame in ROW_BY_ROW and together, _bytes_per_pixel(factors))
        at += max(2, int.from_bytes(content[at : at + 2]))
    raise RefusalError(415, "this begins like a JPEG, and is none: no pixels follow its header")


def _bytes_per_pixel(factors: bytes) -> float:
    """factors: of each component, 16 times its horizontal sampling factor plus its vertical one."""
    across, down = [factor >> 4 for factor in factors], [factor & 15 for factor in factors]
    whole = max(1, *across, 1) * max(1, *down, 1)
    return 2 * sum(map(int.__mul__, across, down)) / whole

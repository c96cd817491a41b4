"""Digits as photographs show them, drawn on plain, lined and squared paper: for `digit_papers` and for tests."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.morphology import skeletonize

WIDTH, HEIGHT = 800, 600
"""Pixels of a photograph."""
ENLARGED = 8
"""Times that a digit is enlarged to find its strokes."""
Side = Literal["choosing", "judging"]


@dataclass(frozen=True)
class Sheet:
    """A sheet of paper, a pen and a camera."""

    height: float = 0.45  # of a digit, as a share of the photograph's
    pen: float | None = None  # width of a stroke, as a share of the digit's height; None: as MNIST's digit was written
    ink: float = 0.15  # brightness of a stroke, as a share of the paper's
    lines: Literal["none", "rows", "squares"] = "none"
    pitch: float = 0.5  # from line to line, as a share of the digit's height
    line_width: float = 0.06  # as a share of the pitch
    line: float = 0.6  # brightness of a line, as a share of the paper's
    margin: bool = False  # a line down the left side
    angle: float = 0.0  # of the lines, degrees
    tilt: float = 0.0  # by which the far side of the sheet is smaller than the near one
    shade: float = 0.0  # share of the light that is lost across the sheet
    noise: float = 2.0  # standard deviation, of 255
    blur: float = 1.0  # standard deviation, pixels
    quality: int = 90  # of the JPEG


class Choice(NamedTuple):
    """What a sheet is drawn from, one for each side: half of all that was thought of."""

    pitches: tuple[float, ...]
    line_widths: tuple[float, ...]
    lines: tuple[float, ...]
    angles: tuple[float, ...]
    tilts: tuple[float, ...]
    inks: tuple[float, ...]
    blurs: tuple[float, ...]
    noises: tuple[float, ...]
    heights: tuple[float, ...]
    shades: tuple[float, ...]


CHOICES: dict[Side, Choice] = {
    "choosing": Choice(
        pitches=(0.2, 0.35, 0.65, 1.1),
        line_widths=(0.025, 0.05),
        lines=(0.85, 0.6, 0.35),
        angles=(-4.0, -2.0, 0.0, 3.0),
        tilts=(0.0, 0.06),
        inks=(0.1, 0.3),
        blurs=(0.7, 1.6),
        noises=(1.0, 4.0),
        heights=(0.35, 0.55),
        shades=(0.2, 0.45),
    ),
    "judging": Choice(
        pitches=(0.25, 0.45, 0.8, 1.3),
        line_widths=(0.02, 0.035, 0.06),
        lines=(0.8, 0.5, 0.25),
        angles=(-5.0, -1.0, 1.5, 4.5),
        tilts=(0.03, 0.08),
        inks=(0.05, 0.2),
        blurs=(1.0, 2.0),
        noises=(2.0, 5.0),
        heights=(0.3, 0.45, 0.65),
        shades=(0.3, 0.55),
    ),
}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "shaded": {"shaded": True},
    "noisy": {"noise": 14.0},
    "thick": {"pen": 0.14},
    "thin": {"pen": 0.035},
    "far": {"height": 0.12},
    "lined": {"lines": "rows"},
    "lined, with a margin": {"lines": "rows", "margin": True},
    "lined, thin pen": {"lines": "rows", "pen": 0.045},
    "lined, shaded": {"lines": "rows", "shaded": True},
    "squared": {"lines": "squares"},
    "squared, thin pen": {"lines": "squares", "pen": 0.045},
    "squared, shaded": {"lines": "squares", "shaded": True},
    "squared, noisy": {"lines": "squares", "noise": 10.0},
    "squared, far": {"lines": "squares", "height": 0.15, "pitches": (0.7, 1.2)},
}
"""What is fixed of a kind of sheet; all else is drawn."""
SEVERAL = ("plain", "shaded", "thin", "lined", "squared")
"""Kinds of sheets that numbers are written on, and that are photographed bare."""


def sheet(kind: str, side: Side, draw: np.random.Generator) -> Sheet:
    fixed, choice = dict(KINDS[kind]), CHOICES[side]

    def one(values: tuple[float, ...]) -> float:
        return float(values[draw.integers(len(values))])

    drawn = Sheet(
        height=one(choice.heights),
        ink=one(choice.inks),
        pitch=one(fixed.pop("pitches", choice.pitches)),
        line_width=one(choice.line_widths),
        line=one(choice.lines),
        angle=one(choice.angles),
        tilt=one(choice.tilts),
        shade=one(choice.shades),
        noise=one(choice.noises),
        blur=one(choice.blurs),
    )
    return replace(drawn, shade=drawn.shade if fixed.pop("shaded", False) else 0.0, **fixed)


def photograph(digits: list[np.ndarray], sheet: Sheet, draw: np.random.Generator) -> bytes:
    """A JPEG of 800 x 600. digits: (28, 28) of ink, from left to right somewhere on the sheet; none: a bare sheet."""
    light = 1 - printed(sheet, draw) * (1 - sheet.line)
    light *= 1 - written(digits, sheet, draw) * (1 - sheet.ink)
    across, down = np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT))
    direction = draw.uniform(0, 2 * np.pi)
    light *= 1 - sheet.shade * (0.5 + (np.cos(direction) * across + np.sin(direction) * down) / np.sqrt(8))
    seen = gaussian_filter(235 * light, sheet.blur) + draw.normal(0, sheet.noise, light.shape)
    content = io.BytesIO()
    Image.fromarray(seen.clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=sheet.quality)
    return content.getvalue()


def printed(sheet: Sheet, draw: np.random.Generator) -> np.ndarray:
    """(600, 800), 0 to 1: how much of a pixel a printed line covers."""
    covered = np.zeros((HEIGHT, WIDTH))
    if sheet.lines == "none":
        return covered
    pitch = sheet.pitch * sheet.height * HEIGHT
    x, y = np.meshgrid(np.arange(WIDTH) - WIDTH / 2, np.arange(HEIGHT) - HEIGHT / 2)
    angle = np.deg2rad(sheet.angle)
    x, y = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    far = 1 + sheet.tilt * y / HEIGHT
    ways = [y * far] + [x * far] * (sheet.lines == "squares")
    for way in ways:
        distance = np.abs((way / pitch + draw.uniform()) % 1 - 0.5) * pitch
        covered = np.maximum(covered, stroke(distance, sheet.line_width * pitch))
    if sheet.margin:
        covered = np.maximum(covered, stroke(np.abs(x * far + 0.42 * WIDTH), sheet.line_width * pitch))
    return covered


def stroke(distance: np.ndarray, width: float) -> np.ndarray:
    """Coverage of pixels that are so far from the middle of a stroke."""
    covered: np.ndarray = np.clip(max(width, 1.0) / 2 - distance + 0.5, 0, 1)
    return covered


def written(digits: list[np.ndarray], sheet: Sheet, draw: np.random.Generator) -> np.ndarray:
    """(600, 800), 0 to 1: how much of a pixel is inked."""
    inked = np.zeros((HEIGHT, WIDTH))
    glyphs = [glyph(digit, sheet) for digit in digits]
    gaps = [round(draw.uniform(0.15, 0.4) * sheet.height * HEIGHT) for _ in glyphs]
    room = WIDTH - sum(shape.shape[1] + gap for shape, gap in zip(glyphs, gaps, strict=True)) - 16
    left = 16 + int(draw.integers(max(1, room)))
    tallest = max((shape.shape[0] for shape in glyphs), default=0)
    top = 16 + int(draw.integers(max(1, HEIGHT - tallest - 32)))
    for shape, gap in zip(glyphs, gaps, strict=True):
        height, width = shape.shape
        down = min(HEIGHT - height, top + round(draw.uniform(0, 0.1) * height))
        inked[down : down + height, left : left + width] = np.maximum(
            inked[down : down + height, left : left + width], shape
        )
        left += width + gap
    return inked


def glyph(digit: np.ndarray, sheet: Sheet) -> np.ndarray:
    """A digit (28, 28) as it is written on the sheet, without paper around it: 0 to 1."""
    large = np.asarray(Image.fromarray(np.pad(digit, 2)).resize((32 * ENLARGED,) * 2, Image.Resampling.BICUBIC))
    inked = np.clip((large / 255 - 0.25) / 0.5, 0, 1)
    if sheet.pen is not None:
        rows = np.flatnonzero((inked > 0.5).any(axis=1))
        smooth = gaussian_filter(large.astype(float), ENLARGED / 2)
        middle = skeletonize(smooth > 100)  # type: ignore[no-untyped-call]
        inked = stroke(distance_transform_edt(~middle), sheet.pen * np.ptp(rows))
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    cut = inked[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = sheet.height * HEIGHT / max(cut.shape)
    size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
    return np.asarray(Image.fromarray(cut.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))

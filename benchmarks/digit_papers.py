"""Which papers digits are read on, as photographs show them: `python -m benchmarks.digit_papers`.

MNIST's digits are drawn on plain, shaded, noisy, lined and squared paper, with pens from thin to thick, from near and
far, blurred by a camera and stored as JPEG; each photograph goes the way of one that is sent to the digits API. The
sheets that the code was made with (`--side choosing`) have validation digits; those that judge it have test digits,
and other pitches, line widths, brightnesses, angles, blurs and noises. No print or pen was photographed.
"""

from __future__ import annotations

import argparse
import io
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.morphology import skeletonize

from components.bundle import Bundle
from components.datasets.digits.reader import Split, read_split
from components.families.classification.params import Serve
from components.families.classification.runtime import DigitModel, DistanceModel
from components.files import write_json
from components.labs import find
from components.labs.digits.params import DigitsParams
from components.params import load
from serving.core.problems import RefusalError
from serving.digits.preprocess import framed

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT = 800, 600
"""Pixels of a photograph."""
ENLARGED = 8
"""Times that a digit is enlarged to find its strokes."""
Side = Literal["choosing", "judging"]

log = logging.getLogger(__name__)


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
SEED = 1


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


class Reader:
    """Reads photographs as the digits API does."""

    def __init__(self, bundle: Bundle, serve: Serve) -> None:
        self._model, self._distance, self._serve = DigitModel.load(bundle), DistanceModel.load(bundle), serve

    def read(self, content: bytes) -> tuple[list[int], list[bool]]:
        """The digits from the left, and whether each is taken for none. Nothing where the API would refuse."""
        try:
            cuts = framed(Image.open(io.BytesIO(content)), self._serve.paper, self._serve.max_digits)
        except RefusalError:
            return [], []
        images = np.stack([cut.image for cut in cuts])
        abstains = self._distance.distances(images) > self._distance.limit if self._distance else [False] * len(images)
        return self._model.logits(images).argmax(axis=1).tolist(), list(map(bool, abstains))


def single(reader: Reader, split: Split, side: Side, kind: str, count: int) -> dict[str, int]:
    """Of `count` digits, as many of each: those that are read, as one digit; and those that are not relied on."""
    right = abstained = 0
    for index in range(count):
        draw = np.random.default_rng((index, SEED))
        label = index % 10
        digit = split.images[np.flatnonzero(split.labels == label)[index // 10]]
        paper = sheet(kind, side, draw)
        found, abstains = reader.read(photograph([digit], paper, draw))
        right += found == [label]
        abstained += found == [label] and abstains[0]
    return {"digits": count, "read": right, "of these, abstained": abstained}


def several(reader: Reader, split: Split, side: Side, kind: str, count: int) -> dict[str, int]:
    """Of `count` numbers of two to six digits: those that are read whole, and those with as many marks."""
    right = counted = 0
    for index in range(count):
        draw = np.random.default_rng((index, SEED + 1))
        rows = draw.integers(0, len(split.images), 2 + index % 5)
        paper = replace(sheet(kind, side, draw), height=float(draw.uniform(0.12, 0.18)))
        paper = replace(paper, pitch=max(paper.pitch, 0.45))
        found, _ = reader.read(photograph(list(split.images[rows]), paper, draw))
        right += found == split.labels[rows].tolist()
        counted += len(found) == len(rows)
    return {"numbers": count, "read": right, "with as many digits": counted}


def bare(reader: Reader, side: Side, kind: str, count: int) -> dict[str, int]:
    """Of `count` sheets without a digit: those that are refused, and those of which every mark is taken for none."""
    refused = abstained = 0
    for index in range(count):
        draw = np.random.default_rng((index, SEED + 2))
        found, abstains = reader.read(photograph([], sheet(kind, side, draw), draw))
        refused += not found
        abstained += bool(found) and all(abstains)
    return {"sheets": count, "refused": refused, "abstained": abstained}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=ROOT / "build" / "digits" / "export")
    parser.add_argument("--prepared", type=Path, default=ROOT / "build" / "digits" / "prepare")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "digit_papers.json")
    parser.add_argument("--side", choices=list(CHOICES), default="judging", help="judging has test digits")
    parser.add_argument("--count", type=int, default=60, help="digits of each kind; a third as many numbers")
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    params = load(find("digits"), ROOT / "params.yaml")
    assert isinstance(params, DigitsParams)
    reader = Reader(Bundle.open(options.bundle), params.serve)
    split = read_split(options.prepared, "test" if options.side == "judging" else "validation")
    result: dict[str, Any] = {"side": options.side, "one digit": {}, "several digits": {}, "no digit": {}}
    for kind in options.kinds:
        found = single(reader, split, options.side, kind, options.count)
        log.info("%-22s one digit: %3d of %d read", kind, found["read"], found["digits"])
        result["one digit"][kind] = found
    for kind in (kind for kind in SEVERAL if kind in options.kinds):
        found = several(reader, split, options.side, kind, options.count // 3)
        log.info("%-22s several: %3d of %d numbers read whole", kind, found["read"], found["numbers"])
        result["several digits"][kind] = found
        found = bare(reader, options.side, kind, options.count // 3)
        log.info("%-22s none: %d of %d sheets refused", kind, found["refused"], found["sheets"])
        result["no digit"][kind] = found
    write_json(options.out, result)
    log.info("wrote %s", options.out)


if __name__ == "__main__":
    main()

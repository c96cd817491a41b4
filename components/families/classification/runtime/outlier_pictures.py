"""Pictures that are no digits, to see whether they are told from digits: (N, 28, 28) uint8, 0 paper, 255 ink.

None of them is seen in training. `export` chooses a detector on those of the source VALIDATION, and `evaluate` judges
it on those of TEST: other digits, other letters in other fonts, other faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from components.datasets.digits.reader import SIZE
from components.families.classification.runtime import framed_as_mnist

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

LETTERS = "ACDEFGHJKLMNPQRTUVWXYadefhkmnprtuwxy"
"""Without letters that are drawn like a digit: B, I, O, S, Z, b, g, i, l, o, q, s, z and a few more."""
CANVAS, POINTS, TURN, SHEAR = 160, 90, 12.0, 0.2
"""Pixels that a letter is drawn on and its size, before it is framed; most degrees that it is turned, most shear."""
MEAN_OF = ("rotated", "noise", "inverted", "faces", "letters")
"""Kinds whose mean is `ood_auroc`: those of the published comparisons, and letters."""


class Source(NamedTuple):
    """What pictures are made of, beside digits. fonts: of those that matplotlib carries. faces: rows of `faces()`."""

    letters: str
    fonts: tuple[str, ...]
    faces: slice


VALIDATION = Source(
    LETTERS[::2],
    ("DejaVuSans-Bold", "DejaVuSerif-Italic", "DejaVuSansMono-Oblique", "cmtt10", "cmb10", "cmti10", "STIXGeneralBol"),
    slice(0, 50),
)
TEST = Source(
    LETTERS[1::2],
    ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSans-Oblique", "cmr10", "cmss10", "STIXGeneral"),
    slice(50, 100),
)


def kinds(digits: np.ndarray, source: Source, count: int, seed: int) -> dict[str, np.ndarray]:
    """At most `count` pictures of each kind; the same for the same seed. digits: of the source's split."""
    draw = np.random.default_rng(seed)
    some = digits[draw.permutation(len(digits))[:count]]
    return {
        "rotated": np.rot90(some, axes=(1, 2)),
        "noise": draw.integers(0, 256, some.shape, np.uint8),
        "inverted": 255 - some,
        "faces": faces()[source.faces][:count],
        "letters": np.stack([letter(source, draw) for _ in range(count)]),
        "two digits": np.stack([side_by_side(*pair) for pair in zip(some, some[::-1], strict=True)]),
    }


def mean_auroc(by_kind: Mapping[str, float]) -> float:
    """`ood_auroc`, of the AUROC against each kind."""
    return float(np.mean([by_kind[kind] for kind in MEAN_OF]))


def letter(source: Source, draw: np.random.Generator) -> np.ndarray:
    """A letter in one of the source's fonts, turned and sheared, framed as MNIST's digits are."""
    from PIL import Image, ImageDraw

    font = _font(source.fonts[draw.integers(len(source.fonts))])
    text = source.letters[draw.integers(len(source.letters))]
    paper = Image.new("L", (CANVAS, CANVAS), 0)
    middle = CANVAS / 2
    ImageDraw.Draw(paper).text((middle, middle), text, fill=255, font=font, anchor="mm")
    angle, shear = np.deg2rad(draw.uniform(-TURN, TURN)), draw.uniform(-SHEAR, SHEAR)
    ways = np.array([[np.cos(angle), shear - np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # Only where the letter is when it is turned: to turn all the paper took longer than all else.
    left, top, right, bottom = np.subtract(paper.getbbox() or (0, 0, CANVAS, CANVAS), middle)
    corners = np.linalg.solve(ways, [(left, right, left, right), (top, top, bottom, bottom)]) + middle
    first, last = np.floor(corners.min(axis=1)) - 1, np.ceil(corners.max(axis=1)) + 1
    moved = middle - ways @ (middle - first)
    rows = np.column_stack([ways, moved]).ravel().tolist()
    width, height = (last - first).astype(int).tolist()
    turned = paper.transform((width, height), Image.Transform.AFFINE, rows, Image.Resampling.BILINEAR)
    return framed_as_mnist(cut_out(np.asarray(turned)))


def side_by_side(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return framed_as_mnist(cut_out(np.hstack([first, second])))


def cut_out(ink: np.ndarray) -> np.ndarray:
    """Without the paper around it."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def faces() -> np.ndarray:
    """The hundred faces in scikit-image's part of Labeled Faces in the Wild, 25 x 25 pixels until they are enlarged."""
    from PIL import Image

    pictures = np.load(_package("skimage") / "data" / "lfw_subset.npy", allow_pickle=False)[:100]
    grey = (255 * pictures).astype(np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(face).resize((SIZE, SIZE), Image.Resampling.BILINEAR)) for face in grey]
    )


@cache
def _font(name: str) -> FreeTypeFont:
    """One of those that matplotlib carries. Opened once: to find and to read it took longer than to draw a letter."""
    from PIL import ImageFont

    return ImageFont.truetype(str(_package("matplotlib") / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf"), POINTS)


def _package(name: str) -> Path:
    """Where a package is installed, without importing it."""
    found = find_spec(name)
    assert found is not None and found.origin is not None  # noqa: S101 - both are in pyproject.toml
    return Path(found.origin).parent

"""From a drawing to what the model learned from: MNIST's framing (LeCun et al. 1998).

The digit is scaled, keeping its proportions, into a box of 20 x 20 pixels, and put into 28 x 28 so that its centre of
mass is in the middle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from components.families.classification.runtime import SIZE, framed_as_mnist
from serving.core.problems import RefusalError
from serving.digits.marks import Box, Mark, digits
from serving.digits.ruling import LEAST_SIDE, without_lines, without_slivers

LARGEST = 20 * SIZE
"""Pixels along the longer side that digits are cut out of: more would only take time."""
INSET = 1 / 60
"""Share of the shorter side: so far from an edge, and twice as far, the picture is compared with that edge, along which
a printed line may run."""
REWEIGHTINGS = 20
"""After which the paper's brightness moves by less than one of 255."""
EVEN = 5
"""Levels of 255: where half of the picture's edges are as near to their median, the light is even."""
LEAST_CONTRAST = 25
"""Levels of 255 between paper and the strongest mark: with less there is nothing to read."""
NOISES = 6.0
"""Standard deviations of the paper's noise that it is too: of 480,000 pixels of noise the strongest has five."""
SAMPLED = 4
"""One row in so many tells the noise well enough."""
APART = 4
"""Pixels between two whose difference is noise: nearer ones are alike in what a camera's program has smoothed."""
DIFFERENCE = 0.954
"""Median difference of two values under normal noise, in standard deviations."""
BESIDE_LINES = 0.3
"""Share of the printed lines' ink that it is too: less is what is left of lines."""


class Cut(NamedTuple):
    """A digit, cut out of a picture. image: (28, 28) uint8, framed as MNIST's. box: where it was, in pixels."""

    image: np.ndarray
    box: Box


def framed(picture: Image.Image, paper: float, most: int) -> list[Cut]:
    """The digits on a picture, in the order of reading: dark on light paper or the reverse, in light without edges.

    paper: marks fainter than this share of the strongest are none. most: digits that a picture may have. Raises
    RefusalError (422) for an empty paper, and for one with more marks.
    """
    grey = picture.convert("L")
    factor = max(1, max(picture.size) // LARGEST)
    with_lines, noise = _ink(np.asarray(grey.reduce(factor), dtype=np.float32))
    ink, printed = without_lines(with_lines)
    refuse_blank(float(ink.max()), max(LEAST_CONTRAST, NOISES * noise, BESIDE_LINES * printed))
    mask = ink >= paper * ink.max()
    marks, labels = digits(without_slivers(mask) if printed else mask)
    if not marks:
        refuse_blank(0)
    if len(marks) > most:
        raise RefusalError(422, f"there are {len(marks)} marks on the paper, more than the {most} digits that are read")
    return [_cut(ink, labels, mark, factor, picture.size) for mark in marks]


def _cut(ink: np.ndarray, labels: np.ndarray, mark: Mark, factor: int, size: tuple[int, int]) -> Cut:
    left, top, right, bottom = mark.box
    digit = np.where(np.isin(labels[top:bottom, left:right], mark.labels), ink[top:bottom, left:right], 0)
    box = Box(left * factor, top * factor, min(right * factor, size[0]), min(bottom * factor, size[1]))
    return Cut(framed_as_mnist(digit * (255 / digit.max())), box)


def _ink(grey: np.ndarray) -> tuple[np.ndarray, float]:
    """How much darker than its paper a picture is; how much lighter, of light ink on dark. And the paper's noise.

    (H, W) float32, 0 to 255, and a standard deviation.
    """
    darker = _paper(grey) - grey
    signed = darker if darker.max() >= -darker.min() else -darker
    apart = np.abs(signed[:, APART:] - signed[:, :-APART])[::SAMPLED]
    # On a smaller picture half of these pairs might lie across the edge of a stroke.
    noise = float(np.median(apart)) / DIFFERENCE if min(grey.shape) >= LEAST_SIDE else 0.0
    return np.maximum(signed, 0).astype(np.float32), noise


def refuse_blank(contrast: float, least: float = LEAST_CONTRAST) -> None:
    """contrast: between paper and the strongest mark, of 255. Raises RefusalError (422) where nothing can be read."""
    if contrast < least:
        raise RefusalError(422, "there is nothing on the paper: draw a digit")


def _paper(grey: np.ndarray) -> np.ndarray:
    """The brightness (H, W) of a picture's paper, where the digit is not: even, or falling off smoothly.

    The median of the picture's edges or, where they differ, a quadratic surface through them. The surface's sum of
    absolute differences is the least (by reweighted least squares, Schlossmacher 1973), so that a stroke that runs over
    an edge hardly counts.
    """
    edge = np.ones(grey.shape, bool)
    edge[1:-1, 1:-1] = False
    values = _without_lines_along(grey)[edge]
    even = np.median(values)
    # A surface would bend after the strokes of a digit that is cut out closely; a level does not.
    if np.median(np.abs(values - even)) <= EVEN:
        return np.full_like(grey, even)
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, side) for side in grey.shape), indexing="ij")
    surface = np.stack([np.ones(grey.shape), rows, columns, rows * columns, rows**2, columns**2], axis=-1)
    places = surface[edge]
    weights = np.ones(len(values))
    for _ in range(REWEIGHTINGS):
        factors = np.linalg.lstsq(weights[:, None] * places, weights * values, rcond=None)[0]
        weights = 1 / np.sqrt(np.maximum(np.abs(values - places @ factors), 1))
    paper: np.ndarray = surface @ factors
    return paper


def _without_lines_along(grey: np.ndarray) -> np.ndarray:
    """The picture (H, W), each edge as two of three rows are: itself, and two that lie a little farther inside.

    A printed line that happens to run along an edge would be taken for the paper.
    """
    inset = round(INSET * min(grey.shape))
    found = grey.copy()
    for side, way in ((found, grey), (found.T, grey.T)):
        for edge in (0, -1):
            inside = (2 * edge + 1) * inset
            side[edge] = np.median(way[[edge, edge + inside, edge + 2 * inside]], axis=0)
    return found

"""From a drawing to what the model learned from: MNIST's framing (LeCun et al. 1998).

The digit is scaled, keeping its proportions, into a box of 20 x 20 pixels, and put into 28 x 28 so that its centre of
mass is in the middle.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from components.families.classification.runtime import SIZE, framed_as_mnist
from serving.core.problems import RefusalError

LARGEST = 20 * SIZE
"""Pixels along the longer side that a digit is cut out of: more would only take time."""
REWEIGHTINGS = 20
"""After which the paper's brightness moves by less than one of 255."""
EVEN = 5
"""Levels of 255: where half of the picture's edges are as near to their median, the light is even."""
LEAST_CONTRAST = 25
"""Levels of 255 between paper and the strongest mark: with less there is nothing to read."""


def framed(picture: Image.Image, paper: float) -> np.ndarray:
    """(28, 28) uint8, 0 paper to 255 ink, of a dark drawing on light paper or the reverse, in light without edges.

    paper: marks fainter than this share of the strongest are none. Raises RefusalError (422) for an empty drawing.
    """
    picture = picture.convert("L")
    grey = np.asarray(picture.reduce(max(1, max(picture.size) // LARGEST)), dtype=np.float32)
    ink = np.abs(grey - _paper(grey))
    strongest = ink.max()
    refuse_blank(strongest)
    ink[ink < paper * strongest] = 0
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return framed_as_mnist(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] * (255 / strongest))


def refuse_blank(contrast: float) -> None:
    """contrast: between paper and the strongest mark, of 255. Raises RefusalError (422) where nothing can be read."""
    if contrast < LEAST_CONTRAST:
        raise RefusalError(422, "there is nothing on the paper: draw a digit")


def _paper(grey: np.ndarray) -> np.ndarray:
    """The brightness (H, W) of a picture's paper, where the digit is not: even, or falling off smoothly.

    The median of the picture's edges or, where they differ, a quadratic surface through them. The surface's sum of
    absolute differences is the least (by reweighted least squares, Schlossmacher 1973), so that a stroke that runs over
    an edge hardly counts.
    """
    edge = np.ones(grey.shape, bool)
    edge[1:-1, 1:-1] = False
    values = grey[edge]
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

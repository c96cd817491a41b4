"""From a drawing to what the model learned from: MNIST's framing (LeCun et al. 1998).

The digit is scaled, keeping its proportions, into a box of 20 x 20 pixels, and put into 28 x 28 so that its centre of
mass is in the middle.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from serving.limits import RefusalError

SIZE, BOX = 28, 20
LARGEST = 20 * SIZE
"""Pixels along the longer side that a digit is cut out of: more would only take time."""
LEAST_CONTRAST = 25
"""Of 255, between paper and the strongest mark: with less there is nothing to read."""


def framed(picture: Image.Image, paper: float) -> np.ndarray:
    """(28, 28) uint8, 0 paper to 255 ink, of a dark drawing on light paper or the reverse.

    paper: marks fainter than this share of the strongest are none. Raises RefusalError (422) for an empty drawing.
    """
    picture = picture.convert("L")
    grey = np.asarray(picture.reduce(max(1, max(picture.size) // LARGEST)), dtype=np.float32)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(border))
    strongest = ink.max()
    if strongest < LEAST_CONTRAST:
        raise RefusalError(422, "there is nothing on the paper: draw a digit")
    ink[ink < paper * strongest] = 0
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    digit = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] * (255 / strongest)
    scale = BOX / max(digit.shape)
    sides = [max(1, round(side * scale)) for side in digit.shape[::-1]]
    small = Image.fromarray(digit.astype(np.uint8)).resize((sides[0], sides[1]), Resampling.BILINEAR)
    return _centred(np.asarray(small))


def _centred(digit: np.ndarray) -> np.ndarray:
    """The digit (h, w), neither above BOX, with its centre of mass at pixel (14, 14), where MNIST has it."""
    mass = digit.astype(np.float64)
    canvas = np.zeros((SIZE, SIZE), np.uint8)
    corner = []
    for axis, side in enumerate(digit.shape):
        centre = (mass.sum(axis=1 - axis) * np.arange(side)).sum() / mass.sum()
        corner.append(int(np.clip(round(SIZE / 2 - centre), 0, SIZE - side)))
    top, left = corner
    canvas[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return canvas

"""Near-duplicate pictures by perceptual hash: the same photograph saved again, cropped a little or brightened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

HASH = 16
"""A hash has HASH * HASH bits."""

NEAR = 16
"""Bits that near-duplicates may differ in. FairFace's known pairs differ in 0 to 14; of its 112 million pairs 14 differ
in at most 16, all of them one photograph, and the next ones, at 20, are people in the same pose."""

BLOCK = 1024


def picture_hash(image: Image.Image) -> np.ndarray:
    """(256,) bool: whether each of 16 x 16 places is darker than its right neighbour.

    The "difference hash" (Krawetz 2013, "Kind of like that"): it keeps through changes of size, contrast and quality.
    """
    small = np.asarray(image.convert("L").resize((HASH + 1, HASH), Image.Resampling.BILINEAR), np.int16)
    return (small[:, 1:] > small[:, :-1]).ravel()


def near_pairs(hashes: np.ndarray, distance: int = NEAR) -> Iterator[tuple[int, int]]:
    """Each pair i < j of hashes (N, bits) bool that differ in at most `distance` bits."""
    signs = 2 * hashes.astype(np.float32) - 1
    for first in range(0, len(signs), BLOCK):
        differing = (hashes.shape[1] - signs[first : first + BLOCK] @ signs[first:].T) / 2
        for row, column in np.argwhere(differing <= distance).tolist():
            if row < column:
                yield first + row, first + column


def clusters(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """For each of `count` pictures the first one that it is connected to by pairs, itself if by none."""
    first = list(range(count))

    def root(index: int) -> int:
        while first[index] != index:
            index = first[index]
        return index

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        first[high] = low
    return [root(index) for index in range(count)]

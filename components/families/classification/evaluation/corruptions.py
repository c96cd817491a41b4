"""Corruptions of digits: shift, rotation, noise, blur. Images are (N, 28, 28) uint8, 0 background, 255 ink."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from components.families.classification.params import Evaluate

AT_ONCE = 500
"""Pictures that are rotated together: more do not fit a processor's cache."""


def corrupted(images: np.ndarray, params: Evaluate) -> Iterator[tuple[str, float, np.ndarray]]:
    """(kind, level, images) of each corruption that robustness is measured with.

    A level with several directions (a shift has four, a rotation two) is yielded once for each of them.
    """
    for pixels in params.shifts:
        for down, right in ((pixels, 0), (-pixels, 0), (0, pixels), (0, -pixels)):
            yield "shift", pixels, shifted(images, down, right)
    for degrees in params.rotations:
        for turn in (degrees, -degrees):
            yield "rotation", degrees, rotated(images, turn)
    for deviation in params.noises:
        yield "noise", deviation, noisy(images, deviation, params.seed)
    for deviation in params.blurs:
        yield "blur", deviation, blurred(images, deviation)


def shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Moved by whole pixels; background fills the gap, pixels beyond the edge are lost."""
    moved = np.zeros_like(images)
    height, width = images.shape[1:]
    rows, columns = (slice(max(0, by), size + min(0, by)) for by, size in ((down, height), (right, width)))
    from_rows, from_columns = (slice(max(0, -by), size + min(0, -by)) for by, size in ((down, height), (right, width)))
    moved[:, rows, columns] = images[:, from_rows, from_columns]
    return moved


def rotated(images: np.ndarray, degrees: float) -> np.ndarray:
    """Rotated counter-clockwise about the centre, with linear interpolation."""
    size = images.shape[1]
    corners = _corners(size, degrees)
    turned = np.empty_like(images)
    for first in range(0, len(images), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        # A row for each pixel: every new row is a sum of four old ones.
        pixels = images[part].reshape(-1, size * size).T.astype(np.float32)
        values = sum(pixels[places] * shares for places, shares in corners)
        turned[part] = to_bytes(np.asarray(values)).T.reshape(-1, size, size)
    return turned


def _corners(size: int, degrees: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The four old pixels around each new one: their places (pixels,), and what each counts (pixels, 1) float32.

    Pictures of that side, which background surrounds: what lies beyond the edge counts nothing.
    """
    middle = (size - 1) / 2
    angle = np.deg2rad(degrees)
    y, x = (each.ravel() for each in np.indices((size, size)) - middle)
    from_y = np.cos(angle) * y + np.sin(angle) * x + middle
    from_x = np.cos(angle) * x - np.sin(angle) * y + middle
    top, left = np.floor(from_y).astype(int), np.floor(from_x).astype(int)
    found = []
    for row, share_y in ((top, 1 - (from_y - top)), (top + 1, from_y - top)):
        for column, share_x in ((left, 1 - (from_x - left)), (left + 1, from_x - left)):
            inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)
            shares = np.where(inside, share_y * share_x, 0).astype(np.float32)
            found.append((np.where(inside, row * size + column, 0), shares[:, None]))
    return found


def noisy(images: np.ndarray, deviation: float, seed: int) -> np.ndarray:
    """With Gaussian noise on every pixel; `deviation` 1 is full ink."""
    values = _noise(images.shape, seed) * np.float32(255 * deviation)
    values += images
    return to_bytes(values)


@lru_cache(maxsize=1)
def _noise(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Every level has the same noise, only more of it."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def blurred(images: np.ndarray, deviation: float) -> np.ndarray:
    """Blurred by a Gaussian of that standard deviation, in pixels; the picture is surrounded by background."""
    places = np.arange(images.shape[1])
    # A blur of rows and of columns is one matrix on each side of the picture.
    weights = np.exp(-((places[:, None] - places) ** 2) / (2 * deviation**2))
    reach = np.arange(-4 * images.shape[1], 4 * images.shape[1] + 1)
    weights = (weights / np.exp(-(reach**2) / (2 * deviation**2)).sum()).astype(np.float32)
    return to_bytes(weights @ images.astype(np.float32) @ weights.T)


def to_bytes(images: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.rint(images)
    return np.clip(rounded, 0, 255, out=rounded).astype(np.uint8)

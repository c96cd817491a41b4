"""Which marks on a paper make a digit each: connected ink, with the parts of broken digits joined."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SMALLEST = 1 / 64
"""Side of the smallest mark, as a share of the picture's longer side; smaller ones are noise."""
SPECK = 0.25
"""Side of a mark by itself, as a share of the largest mark's, below which it is a speck."""
GAP = 0.03
"""Widest break within a stroke, as a share of the largest mark's side."""
PART = 0.1
"""Side of the smallest part that is joined to a digit, as a share of the largest mark's."""
LOW = 0.5
"""Height of a mark, as a share of the one that it lies beside, below which it is a part of that, such as a 5's bar."""
BESIDE = 0.2
"""Farthest that a part lies from its digit, as a share of the largest mark's side."""
OVERLAP = 0.5
"""Share of the narrower mark's width that lies above or below the other, where both are one digit."""
TALLER = 1.5
"""How much taller two marks together may be than the tallest mark, where both are one digit."""


class Box(NamedTuple):
    """Pixels; right and bottom are the first ones beyond."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def side(self) -> int:
        return max(self.right - self.left, self.bottom - self.top)

    def scaled(self, across: float, down: float) -> Box:
        """The box in a picture that is so much larger."""
        return Box(*(round(way * scale) for way, scale in zip(self, (across, down, across, down), strict=True)))

    def around(self, other: Box) -> Box:
        """The smallest box with both inside."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


class Mark(NamedTuple):
    """Ink that is taken for one digit. labels: of its connected parts."""

    box: Box
    labels: tuple[int, ...]


def connected(mask: np.ndarray) -> np.ndarray:
    """(H, W) int: 0 where a mask (H, W) is false, elsewhere the number of the part of the mask, from 1.

    Pixels that touch, at a corner too, are in the same part. Runs of pixels in a row are the nodes of a graph, whose
    parts are found by letting each take the least number among its neighbours until nothing changes.
    """
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    first, second = _touching(rows, starts, ends, mask.shape[1])
    numbers = np.arange(len(rows))
    while len(first):
        least = np.minimum(numbers[first], numbers[second])
        before = numbers.copy()
        for side in (first, second):
            np.minimum.at(numbers, numbers[side], least)
            np.minimum.at(numbers, side, least)
        numbers = numbers[numbers]
        if (numbers == before).all():
            break
    found = np.unique(numbers, return_inverse=True)[1] + 1 if len(rows) else numbers
    labels = np.zeros(mask.shape, np.int64)
    labels[mask] = np.repeat(found, ends - starts)
    return labels


def _touching(rows: np.ndarray, starts: np.ndarray, ends: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of runs, one in the row below the other's, that touch."""
    span = width + 2
    from_left, from_right = rows * span + starts, rows * span + ends
    # Of the next row: the first run that ends at this one's start or later, and the first that starts beyond its end.
    low = np.searchsorted(from_right, from_left + span, side="left")
    high = np.searchsorted(from_left, from_right + span, side="right")
    counts = np.maximum(high - low, 0)
    first = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    return first, low[first] + within


def digits(mask: np.ndarray) -> tuple[list[Mark], np.ndarray]:
    """The marks on a mask (H, W) that are digits, in the order of reading, and labels (H, W) of their parts."""
    labels = connected(mask)
    found = boxes(labels)
    largest = max((box.side for box in found), default=0)
    if largest < SMALLEST * max(mask.shape):
        return [], labels
    radius = round(GAP * largest / 2)
    if radius:
        labels = connected(dilated(dilated(mask, radius).T, radius).T) * mask
        found = boxes(labels)
    least = max(SMALLEST * max(mask.shape), PART * largest)
    marks = [Mark(box, (label,)) for label, box in enumerate(found, 1) if box.side >= least]
    marks = _joined(marks, largest)
    return in_rows([mark for mark in marks if mark.box.side >= SPECK * largest]), labels


def dilated(mask: np.ndarray, radius: int) -> np.ndarray:
    """The mask, with the `radius` rows above and below each of its pixels."""
    found = mask.copy()
    for shift in range(1, radius + 1):
        found[shift:] |= mask[:-shift]
        found[:-shift] |= mask[shift:]
    return found


def boxes(labels: np.ndarray) -> list[Box]:
    """The box of each part, by its label."""
    rows, columns = np.nonzero(labels)
    found = labels[rows, columns]
    count = int(labels.max(initial=0)) + 1
    low = np.full((2, count), max(labels.shape))
    high = np.zeros((2, count), int)
    for axis, places in enumerate((columns, rows)):
        np.minimum.at(low[axis], found, places)
        np.maximum.at(high[axis], found, places + 1)
    return [Box(*map(int, corner)) for corner in np.concatenate([low, high]).T[1:]]


def _joined(marks: list[Mark], largest: int) -> list[Mark]:
    """Parts of the same digit become one mark: the larger ones first take what belongs to them."""
    marks = sorted(marks, key=lambda mark: -mark.box.side)
    tallest = max(mark.box.bottom - mark.box.top for mark in marks)
    whole: list[Mark] = []
    for mark in marks:
        home = next((index for index, other in enumerate(whole) if _one(other.box, mark.box, largest, tallest)), None)
        if home is None:
            whole.append(mark)
        else:
            whole[home] = Mark(whole[home].box.around(mark.box), whole[home].labels + mark.labels)
    return whole


def _one(box: Box, other: Box, largest: int, tallest: int) -> bool:
    """Whether a mark and another, no larger one, are parts of one digit."""
    across = min(box.right, other.right) - max(box.left, other.left)
    apart = max(0, box.top - other.bottom, other.top - box.bottom)
    narrower = min(box.right - box.left, other.right - other.left)
    both = box.around(other)
    fits = both.bottom - both.top <= TALLER * tallest and apart <= BESIDE * largest
    low = other.bottom - other.top < LOW * (box.bottom - box.top)
    return fits and (across >= OVERLAP * narrower or (low and -across <= BESIDE * largest))


def in_rows(marks: list[Mark]) -> list[Mark]:
    """In the order of reading: rows from the top, each from the left. A row's marks overlap in height."""
    found: list[list[Mark]] = []
    for mark in sorted(marks, key=lambda mark: mark.box.top + mark.box.bottom):
        middle = (mark.box.top + mark.box.bottom) / 2
        row = next((row for row in found if row[-1].box.top <= middle <= row[-1].box.bottom), None)
        if row is None:
            found.append([mark])
        else:
            row.append(mark)
    return [mark for row in found for mark in sorted(row, key=lambda mark: mark.box.left)]

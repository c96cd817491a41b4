"""How far two models' answers to one picture are from each other."""

from __future__ import annotations

import numpy as np

from components.labs.faces.runtime.detection import intersection_over_union
from serving.core.shadow import Difference
from serving.faces.schemas import Classification, Detection

MATCH = 0.5
"""Least intersection over union of two boxes around one face, as evaluation has it."""

COMPARED = {
    "/classify": "difference of both probabilities that this is a face; they agree where both call it one, or neither",
    "/detect": "1 - panoptic quality: twice the sum of the intersections over unions of matched boxes, over the number "
    f"of both models' boxes. Boxes match from an intersection over union of {MATCH} on, the closest first, each "
    "at most once; they agree where every box has a match",
}


def classifications(one: Classification, other: Classification) -> Difference:
    return Difference(one.is_face == other.is_face, abs(one.probability - other.probability))


def detections(one: Detection, other: Detection) -> Difference:
    """Panoptic quality: Kirillov et al. 2019, eq. 1. Two answers without a box are the same."""
    ours, theirs = _boxes(one), _boxes(other)
    count = len(ours) + len(theirs)
    shares = np.stack([intersection_over_union(box, theirs) for box in ours]) if len(ours) else np.zeros((0, 0))
    matched: list[float] = []
    while shares.size and shares.max() >= MATCH:
        row, column = np.unravel_index(shares.argmax(), shares.shape)
        matched.append(float(shares[row, column]))
        shares[row], shares[:, column] = 0, 0
    return Difference(2 * len(matched) == count, 1 - 2 * sum(matched) / count if count else 0.0)


def _boxes(found: Detection) -> np.ndarray:
    """(N, 4) left, top, right, bottom."""
    sides = [(face.left, face.top, face.right, face.bottom) for face in found.faces]
    return np.array(sides, dtype=np.float64).reshape(-1, 4)

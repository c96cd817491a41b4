"""Scenes with faces at known places, which detection is measured on: faces pasted on collages of negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from components.datasets.faces.reader import SIZE, Split
from components.labs.faces.runtime.detection import Found, intersection_over_union

TILES = (6, 8)
"""Rows and columns of negatives in a collage: 480 x 640 pixels where images have 80."""
FACES = (0, 3)
"""Fewest and most faces of a scene."""
LARGEST = 220
"""Greatest side, in pixels, of a face as the classifier wants it framed."""
TRIES = 50
"""Attempts to find a free place; a scene may have fewer faces than were drawn for it."""
MATCH = 0.5
"""Intersection over union from which a box is right, as in PASCAL VOC."""


@dataclass(frozen=True)
class Scene:
    """photograph: (H, W, 3) uint8.  boxes: (F, 4) float32, where the faces are."""

    photograph: np.ndarray
    boxes: np.ndarray


def compose(split: Split, count: int, seed: int, smallest: int) -> list[Scene]:
    """`count` scenes of the split's faces and negatives, other ones in each.

    Faces are `smallest` to LARGEST pixels wide, each octave with as many.
    """
    draw = np.random.default_rng(seed)
    faces, negatives = np.flatnonzero(split.is_face), np.flatnonzero(~split.is_face)
    scenes = []
    for _ in range(count):
        tiles = split.images[draw.choice(negatives, TILES)]
        picture = tiles.transpose(0, 2, 1, 3, 4).reshape(TILES[0] * tiles.shape[2], -1, 3).copy()
        boxes = np.zeros((0, 4), np.float32)
        for face in draw.choice(faces, draw.integers(FACES[0], FACES[1] + 1), replace=False):
            boxes = _paste(picture, boxes, split.images[face], smallest, draw)
        scenes.append(Scene(picture, boxes))
    return scenes


def _paste(
    picture: np.ndarray, boxes: np.ndarray, face: np.ndarray, smallest: int, draw: np.random.Generator
) -> np.ndarray:
    """Puts the face where it covers no other one; returns the boxes with its own."""
    height, width = picture.shape[:2]
    for _ in range(TRIES):
        box = np.exp(draw.uniform(*np.log((smallest, LARGEST))))
        side = round(box * len(face) / SIZE)
        left, top = draw.integers(0, width - side + 1), draw.integers(0, height - side + 1)
        outer = np.array([left, top, left + side, top + side], dtype=np.float32)
        if len(boxes) and intersection_over_union(outer, boxes).any():
            continue
        image = Image.fromarray(face).resize((side, side), Image.Resampling.BILINEAR)
        picture[top : top + side, left : left + side] = np.asarray(image)
        margin = side * (1 - SIZE / len(face)) / 2
        return np.concatenate([boxes, (outer + np.array([margin, margin, -margin, -margin]))[None]]).astype(np.float32)
    return boxes


def matched(scenes: Sequence[Scene], found: Sequence[Found]) -> list[tuple[float, bool]]:
    """(logit, right) of every box: right when it meets an unclaimed face at IoU >= MATCH; better boxes claim first."""
    hits: list[tuple[float, bool]] = []
    for scene, boxes in zip(scenes, found, strict=True):
        free = np.ones(len(scene.boxes), dtype=bool)
        for row in np.argsort(boxes.logits)[::-1]:
            shares = intersection_over_union(boxes.boxes[row], scene.boxes) * free
            right = bool(len(shares)) and float(shares.max()) >= MATCH
            if right:
                free[shares.argmax()] = False
            hits.append((float(boxes.logits[row]), right))
    return hits


def average_precision(scenes: Sequence[Scene], found: Sequence[Found]) -> float:
    """Area under precision over recall, precision made monotone (PASCAL VOC since 2010): 1 is perfect, 0 is no hit."""
    faces = sum(len(scene.boxes) for scene in scenes)
    right_ones = np.cumsum([right for _, right in sorted(matched(scenes, found), key=lambda hit: -hit[0])])
    precision = right_ones / np.arange(1, len(right_ones) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * np.diff(right_ones, prepend=0)).sum() / max(1, faces))

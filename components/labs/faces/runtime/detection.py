"""Finds faces in a photograph of any size: numpy, Pillow and onnxruntime, no torch.

The dense graph classifies a window at every 16th pixel of a pyramid of scales. At a window's edge it reads the
neighbouring pixels where the classifier reads padding, so it only proposes boxes. The classifier then decides on the
best ones, each as a crop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from components.labs.faces.params import Detection
from components.labs.faces.runtime.model import FaceModel

STRIDE = 16
"""Pixels between two places of the dense graph's map."""


@dataclass(frozen=True)
class Found:
    """boxes: (N, 4) float32 left, top, right, bottom in pixels of the photograph.  logits: (N,) float32, best first."""

    boxes: np.ndarray
    logits: np.ndarray


def detect(model: FaceModel, photograph: np.ndarray, threshold: float, settings: Detection) -> Found:
    """Faces whose logit is above the threshold in photograph (H, W, 3) uint8 RGB."""
    boxes, logits = proposals(model, photograph, threshold - settings.margin, settings)
    best = np.argsort(logits)[::-1][: settings.candidates]
    boxes, _ = merged(boxes[best], logits[best], settings.overlap)
    if not len(boxes):
        return Found(boxes, np.zeros(0, np.float32))
    logits = model.logits(crops(photograph, boxes, model.size))
    boxes, logits = boxes[logits > threshold], logits[logits > threshold]
    kept = suppressed(boxes, logits, settings.overlap)
    return Found(boxes[kept], logits[kept])


def proposals(
    model: FaceModel, photograph: np.ndarray, threshold: float, settings: Detection
) -> tuple[np.ndarray, np.ndarray]:
    """boxes (N, 4) and logits (N,) of all places at all scales whose logit is above the threshold."""
    boxes, logits = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)]
    height, width = photograph.shape[:2]
    for level in pyramid(photograph, model.size, settings):
        found = model.dense(level)
        rows, columns = np.nonzero(found > threshold)
        corners = np.stack([columns, rows], axis=1).astype(np.float32) * STRIDE
        scale = np.array([width / level.shape[1], height / level.shape[0]], dtype=np.float32)
        boxes.append(np.concatenate([corners * scale, (corners + model.size) * scale], axis=1))
        logits.append(found[rows, columns])
    return np.concatenate(boxes), np.concatenate(logits)


def pyramid(photograph: np.ndarray, size: int, settings: Detection) -> Iterator[np.ndarray]:
    """The photograph at falling scales, each (h, w, 3) with sides that are multiples of STRIDE, none below `size`.

    The first has the smallest faces at `size` pixels; the last is the first whose shorter side is `size`.
    """
    height, width = photograph.shape[:2]
    image = Image.fromarray(photograph)
    largest = (settings.max_pixels / (height * width)) ** 0.5
    scale = min(size / settings.min_face, largest)
    while True:
        sides = [max(size, round(side * scale / STRIDE) * STRIDE) for side in (width, height)]
        longest = settings.max_pixels // size // STRIDE * STRIDE  # a thread of a picture gets thicker, not longer
        sides = [min(side, max(size, longest)) for side in sides]
        yield np.asarray(image.resize((sides[0], sides[1]), Image.Resampling.BILINEAR, reducing_gap=2.0))
        if min(sides) == size:
            return
        scale /= settings.step


def crops(photograph: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
    """(N, size, size, 3) uint8: the boxes, each as the classifier sees a face."""
    height, width = photograph.shape[:2]
    image = Image.fromarray(photograph)
    low = np.clip(boxes, 0, (width, height, width, height)).tolist()
    sides, way = (size, size), Image.Resampling.BILINEAR
    cut = [
        image.resize(sides, way, box=(left, top, right, bottom), reducing_gap=2.0) for left, top, right, bottom in low
    ]
    return np.stack([np.asarray(picture) for picture in cut])


def merged(boxes: np.ndarray, logits: np.ndarray, overlap: float) -> tuple[np.ndarray, np.ndarray]:
    """One box for every face: the mean of those that overlap its best one, and its logit.

    Places lie a quarter of a box apart; the mean says where between them the face is.
    """
    means, best = [np.zeros((0, 4), np.float32)], []
    left = np.argsort(logits)[::-1]
    while len(left):
        together = overlaps(boxes[left[0]], boxes[left]) > overlap
        group = left[together]
        # A face has high logits at its own scale and the next ones, a part of a face at smaller ones: keep them apart.
        areas = _areas(boxes[group])
        alike = np.abs(np.log2(areas / areas[0])) < 1
        # The root of the odds: by the odds themselves the best place alone counts.
        weights = np.exp((logits[group[alike]] - logits[group[0]]) / 2)
        means.append((boxes[group[alike]] * weights[:, None]).sum(axis=0, keepdims=True) / weights.sum())
        best.append(logits[group[0]])
        left = left[~together]
    return np.concatenate(means).astype(np.float32), np.array(best, dtype=np.float32)


def suppressed(boxes: np.ndarray, logits: np.ndarray, overlap: float) -> np.ndarray:
    """Rows of the boxes kept, best first: none overlaps a better one by more than `overlap` (greedy suppression)."""
    kept = []
    left = np.argsort(logits)[::-1]
    while len(left):
        kept.append(left[0])
        left = left[overlaps(boxes[left[0]], boxes[left]) <= overlap]
    return np.array(kept, dtype=np.int64)


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(N,) intersection over the smaller area: 1 for a box inside another, which IoU would let stand."""
    common = _intersections(box, boxes)
    shares: np.ndarray = common / np.minimum(_areas(box[None]), _areas(boxes))
    return shares


def intersection_over_union(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(N,) of a box (4,) with boxes (N, 4)."""
    common = _intersections(box, boxes)
    shares: np.ndarray = common / (_areas(box[None]) + _areas(boxes) - common)
    return shares


def _intersections(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    corner, opposite = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    sides = np.clip(opposite - corner, 0, None)
    areas: np.ndarray = sides[:, 0] * sides[:, 1]
    return areas


def _areas(boxes: np.ndarray) -> np.ndarray:
    areas: np.ndarray = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas

"""Finds faces in a photograph of any size: numpy, Pillow and onnxruntime, no torch.

The dense graph classifies a window at every 16th pixel of a pyramid of scales. At a window's edge it reads the
neighbouring pixels where the classifier reads padding, so it only proposes boxes. The classifier then looks at each box
once. It looks at the likely ones again, in views that are moved, zoomed and mirrored a little: they say where the face
is, and their mean is the score. A face looks like one in all views; what is taken for a face by mistake seldom does.
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
MOVED = np.array([(0, 0), (-1, -1), (1, -1), (-1, 1), (1, 1)])
"""Directions, across and down, in which the views of a box are moved."""


@dataclass(frozen=True)
class Found:
    """boxes: (N, 4) float32 left, top, right, bottom in pixels of the photograph.  logits: (N,), best first."""

    boxes: np.ndarray
    logits: np.ndarray

    def above(self, threshold: float) -> Found:
        """The boxes whose logit is above it."""
        kept = self.logits > threshold
        return Found(self.boxes[kept], self.logits[kept])


def detect(model: FaceModel, photograph: np.ndarray, threshold: float, settings: Detection) -> Found:
    """Possible faces in photograph (H, W, 3) uint8 RGB, each with the mean logit of its views, corrected by its size.

    threshold: the classifier's on single crops, which decides what is looked at. It is not the one above which a box
    is drawn: that one is applied to what is found (`Found.above`), so that it never changes what else is found.
    """
    likely = threshold + settings.likely
    boxes, logits = proposals(model, photograph, likely - settings.margin, settings)
    best = np.argsort(logits)[::-1][: settings.candidates]
    boxes, _ = merged(boxes[best], logits[best], settings.same)
    if not len(boxes):
        return Found(boxes, np.zeros(0, np.float32))
    logits = model.logits(crops(photograph, boxes, model.size))
    boxes, logits = boxes[logits > likely], logits[logits > likely]
    if settings.shift and len(boxes):
        boxes, logits = seen_again(model, photograph, boxes, settings)
    logits = logits + settings.octave * octaves(boxes, photograph.shape)
    boxes, logits = voted(boxes, logits, settings.overlap, settings.vote)
    return Found(zoomed(boxes, settings.frame), logits)


def octaves(boxes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(N,) log2 of the boxes' sides, in tenths of the side of a square with the photograph's area.

    A photograph has four times as many places for boxes of half the side, and as many times may one be wrong.
    """
    return np.asarray(np.log2(10 * (boxes[:, 2] - boxes[:, 0]) / (shape[0] * shape[1]) ** 0.5), np.float32)


def seen_again(
    model: FaceModel, photograph: np.ndarray, boxes: np.ndarray, settings: Detection
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4), each where its views say the face is, and the mean logit (N,) of the views of that place."""
    zooms = (1 / settings.zoom, 1.0, settings.zoom)
    parts = [views(photograph, zoomed(boxes, zoom), model.size, settings.shift) for zoom in zooms]
    places = np.concatenate([frames for frames, _ in parts], axis=1)
    seen = np.stack([model.logits(each) for _, pictures in parts for each in pictures], axis=1)
    frames, pictures = views(photograph, _mean_box(places, seen), model.size, settings.shift)
    logits = np.stack([model.logits(each) + model.logits(each[:, :, ::-1]) for each in pictures], axis=1) / 2
    places, seen = np.concatenate([places, frames], axis=1), np.concatenate([seen, logits], axis=1)
    return _mean_box(places, seen), logits.mean(axis=1)


def views(photograph: np.ndarray, boxes: np.ndarray, size: int, shift: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Frames (N, 5, 4) of boxes (N, 4), as they are and moved by `shift` pixels of `size`, and pictures of each frame.

    Pictures are five of (N, size, size, 3) uint8.
    """
    side = boxes[:, 2:] - boxes[:, :2]
    wide = crops(photograph, zoomed(boxes, 1 + 2 * shift / size), size + 2 * shift)
    frames = boxes[:, None] + np.tile(MOVED * (shift / size) * side[:, None], 2)
    corners = (shift + shift * MOVED).tolist()
    return frames, [wide[:, top : top + size, left : left + size] for left, top in corners]


def zoomed(boxes: np.ndarray, factor: float) -> np.ndarray:
    """(N, 4): boxes of `factor` times their sides about the same middle."""
    grown = (boxes[:, 2:] - boxes[:, :2]) * ((factor - 1) / 2)
    return np.concatenate([boxes[:, :2] - grown, boxes[:, 2:] + grown], axis=1)


def _mean_box(frames: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """(N, 4) float32: means of frames (N, V, 4), weighted by the root of the odds.

    By the odds themselves the best one alone counts.
    """
    weights = np.exp((logits - logits.max(axis=1, keepdims=True)) / 2)[..., None]
    means: np.ndarray = ((frames * weights).sum(axis=1) / weights.sum(axis=1)).astype(np.float32)
    return means


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
    """(N, size, size, 3) uint8: the boxes, each as the classifier sees a face; the photograph's edge goes on."""
    height, width = photograph.shape[:2]
    image, way = Image.fromarray(photograph), Image.Resampling.BILINEAR
    inside = np.clip(boxes, 0, (width, height, width, height))
    scale = size / np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    places = np.rint((inside - np.tile(boxes[:, :2], 2)) * scale).astype(int)
    cut = np.empty((len(boxes), size, size, 3), np.uint8)
    for row, (box, (left, top, right, bottom)) in enumerate(zip(inside.tolist(), places.tolist(), strict=True)):
        sides = max(1, right - left), max(1, bottom - top)
        part = np.asarray(image.resize(sides, way, box=tuple(box), reducing_gap=2.0))
        around = ((top, size - top - sides[1]), (left, size - left - sides[0]), (0, 0))
        cut[row] = part if sides == (size, size) else np.pad(part, around, mode="edge")
    return cut


def merged(boxes: np.ndarray, logits: np.ndarray, same: float) -> tuple[np.ndarray, np.ndarray]:
    """A box for all places at which one thing was seen: the mean of those whose IoU with the best is above `same`.

    Places lie a quarter of a box apart; the mean says where between them the thing is. Returns boxes (N, 4), best
    first, and the logits of their best places.
    """
    means, best = [np.zeros((0, 4), np.float32)], []
    left = np.argsort(logits)[::-1]
    while len(left):
        together = intersection_over_union(boxes[left[0]], boxes[left]) > same
        group = left[together]
        means.append(_mean_box(boxes[None, group], logits[None, group]))
        best.append(logits[group[0]])
        left = left[~together]
    return np.concatenate(means), np.array(best, dtype=np.float32)


def voted(boxes: np.ndarray, logits: np.ndarray, overlap: float, vote: float) -> tuple[np.ndarray, np.ndarray]:
    """One box for every face, best first, and the logit of its best one.

    A box that overlaps a better one by more than `overlap` is dropped. If their IoU is above `vote`, it also votes on
    where the face is (Gidaris and Komodakis 2015, "Object detection via a multi-region and semantic segmentation-aware
    CNN model").
    """
    means, best = [np.zeros((0, 4), np.float32)], []
    left = np.argsort(logits)[::-1]
    while len(left):
        box, around = boxes[left[0]], boxes[left]
        voters = left[intersection_over_union(box, around) > vote]
        means.append(_mean_box(boxes[None, voters], logits[None, voters]))
        best.append(logits[left[0]])
        left = left[overlaps(box, around) <= overlap]
    return np.concatenate(means), np.array(best, dtype=np.float32)


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

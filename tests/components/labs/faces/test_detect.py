from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from components.bundle import Bundle
from components.datasets.faces.reader import read_split
from components.labs.faces.evaluation.scenes import Scene, average_precision, compose
from components.labs.faces.params import Detection
from components.labs.faces.runtime.detection import (
    MOVED,
    Found,
    crops,
    detect,
    intersection_over_union,
    merged,
    overlaps,
    pyramid,
    seen_again,
    suppressed,
)
from components.labs.faces.runtime.model import FaceModel
from tests.face_data import section

BOXES = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [22, 22, 27, 27]], dtype=np.float32)


@pytest.fixture(scope="module")
def settings() -> Detection:
    return section(Detection, "faces", "evaluate", "detection")


def test_overlap_is_of_the_smaller_box_and_union_of_both() -> None:
    assert overlaps(BOXES[2], BOXES).tolist() == pytest.approx([0, 0, 1, 1])
    assert intersection_over_union(BOXES[0], BOXES).tolist() == pytest.approx([1, 81 / 119, 0, 0])


def test_suppression_keeps_the_best_of_those_that_overlap() -> None:
    assert suppressed(BOXES, np.array([1.0, 2.0, 3.0, 4.0]), 0.5).tolist() == [3, 1]
    assert suppressed(BOXES[:0], np.zeros(0), 0.5).tolist() == []


def test_places_of_one_face_are_merged_into_their_mean() -> None:
    boxes, logits = merged(BOXES[:3], np.array([2.0, 2.0, 1.0], dtype=np.float32), 0.5)
    assert boxes.tolist() == [[0.5, 0.5, 10.5, 10.5], [20, 20, 30, 30]]
    assert logits.tolist() == [2.0, 1.0]
    assert merged(BOXES[:0], np.zeros(0, np.float32), 0.5)[0].shape == (0, 4)


@pytest.mark.parametrize("sides", [(480, 640), (1, 1), (64, 64), (3, 9000), (5000, 4000), (63, 200)])
def test_a_pyramid_of_any_photograph_is_bounded_and_ends_at_the_window(
    sides: tuple[int, int], settings: Detection
) -> None:
    levels = list(pyramid(np.zeros((*sides, 3), np.uint8), 64, settings))
    assert all(side % 16 == 0 and side >= 64 for level in levels for side in level.shape[:2])
    assert all(level.shape[0] * level.shape[1] <= 1.1 * settings.max_pixels for level in levels)
    assert min(levels[-1].shape[:2]) == 64
    assert len(levels) < 25


def test_crops_are_what_the_boxes_hold(settings: Detection) -> None:
    photograph = np.zeros((200, 300, 3), np.uint8)
    photograph[50:114, 100:164] = np.arange(64, dtype=np.uint8)[:, None, None] * 3
    found = crops(photograph, np.array([[100, 50, 164, 114], [-20, -20, 44, 44]], dtype=np.float32), 64)
    assert (found[0] == photograph[50:114, 100:164]).all()
    assert (found[1][20:, 20:] == photograph[:44, :44]).all()
    assert (found[1][:20] == found[1][20]).all(), "the photograph's edge goes on"
    assert (found[1][:, :20] == found[1][:, 20:21]).all()


def test_the_large_faces_of_scenes_are_found_where_they_are(
    bundle: Bundle, prepared_faces: Path, settings: Detection
) -> None:
    scenes = compose(read_split(prepared_faces, "audit"), 12, seed=3, smallest=64)
    model = FaceModel.load(bundle)
    found = [detect(model, scene.photograph, 0.0, settings) for scene in scenes]
    recovered = [
        bool(len(boxes.boxes)) and intersection_over_union(box, boxes.boxes).max() >= 0.3
        for scene, boxes in zip(scenes, found, strict=True)
        for box in scene.boxes
    ]
    assert np.mean(recovered) > 0.5, "of a model trained for seconds"
    assert all((np.diff(boxes.logits) <= 0).all() and (boxes.logits > 0).all() for boxes in found)


def test_a_box_beside_a_face_is_moved_to_it_and_its_score_is_the_mean_of_what_is_seen(
    bundle: Bundle, prepared_faces: Path
) -> None:
    model, split = FaceModel.load(bundle), read_split(prepared_faces, "audit")
    before, after = [], []
    for scene in compose(split, 20, seed=4, smallest=64):
        for face, beside in product(scene.boxes, ((1, 1), (-1, 1), (1, -1), (-1, -1))):
            moved = face + 0.15 * (face[2] - face[0]) * np.tile(beside, 2)
            boxes, logits = seen_again(model, scene.photograph, moved[None].astype(np.float32), 8)
            before.append(intersection_over_union(face, moved[None])[0])
            after.append(intersection_over_union(face, boxes)[0])
            views = np.concatenate([moved + 0.125 * (face[2] - face[0]) * np.tile(way, 2) for way in MOVED])
            seen = crops(scene.photograph, views.reshape(-1, 4).astype(np.float32), 64)
            mean = np.mean([model.logits(seen), model.logits(np.ascontiguousarray(seen[:, :, ::-1]))])
            assert logits[0] == pytest.approx(mean, abs=1.5), "as if each view were cut out on its own"
    assert len(after) > 40
    assert np.mean(after) > np.mean(before) + 0.02


def test_boxes_above_a_threshold_do_not_depend_on_it(bundle: Bundle, prepared_faces: Path, settings: Detection) -> None:
    scene = compose(read_split(prepared_faces, "audit"), 3, seed=3, smallest=64)[2]
    found = detect(FaceModel.load(bundle), scene.photograph, 0.0, settings)
    assert len(found.boxes) > 1
    best = found.above(float(found.logits[1]))
    assert (best.boxes == found.boxes[:1]).all()
    assert len(found.above(float(found.logits[0])).boxes) == 0


def test_scenes_are_the_same_for_a_seed_and_their_faces_do_not_overlap(prepared_faces: Path) -> None:
    split = read_split(prepared_faces, "audit")
    first, again, other = (compose(split, 5, seed, 24) for seed in (1, 1, 2))
    assert all((a.photograph == b.photograph).all() for a, b in zip(first, again, strict=True))
    assert any((a.photograph != b.photograph).any() for a, b in zip(first, other, strict=True))
    for scene in first:
        assert scene.photograph.shape == (480, 640, 3)
        for row, box in enumerate(scene.boxes):
            assert (intersection_over_union(box, np.delete(scene.boxes, row, axis=0)) == 0).all()


def test_average_precision_of_known_answers() -> None:
    scene = Scene(np.zeros((40, 40, 3), np.uint8), BOXES[[0, 2]])
    perfect = Found(BOXES[[0, 2]], np.array([2.0, 1.0], np.float32))
    assert average_precision([scene], [perfect]) == 1
    one_wrong_between = Found(BOXES[[0, 3, 2]], np.array([3.0, 2.0, 1.0], np.float32))
    assert average_precision([scene], [one_wrong_between]) == pytest.approx(0.5 + 0.5 * 2 / 3)
    twice = Found(BOXES[[0, 1]], np.array([2.0, 1.0], np.float32))
    assert average_precision([scene], [twice]) == pytest.approx(0.5), "a face found twice is one right and one wrong"
    assert average_precision([scene], [Found(BOXES[:0], np.zeros(0, np.float32))]) == 0

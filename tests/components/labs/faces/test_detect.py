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
    Found,
    crops,
    detect,
    intersection_over_union,
    merged,
    octaves,
    overlaps,
    pyramid,
    seen_again,
    views,
    voted,
    zoomed,
)
from components.labs.faces.runtime.model import FaceModel
from tests.face_data import section

BOXES = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [22, 22, 27, 27]], dtype=np.float32)


@pytest.fixture(scope="module")
def settings() -> Detection:
    """Those in use; but a model that was trained for seconds is sure of nothing."""
    return section(Detection, "faces", "evaluate", "detection", likely=0.0)


def test_overlap_is_of_the_smaller_box_and_union_of_both() -> None:
    assert overlaps(BOXES[2], BOXES).tolist() == pytest.approx([0, 0, 1, 1])
    assert intersection_over_union(BOXES[0], BOXES).tolist() == pytest.approx([1, 81 / 119, 0, 0])


def test_of_boxes_that_overlap_the_best_is_kept_where_those_of_one_face_vote() -> None:
    boxes, logits = voted(BOXES, np.array([1.0, 1.0, 3.0, 4.0], np.float32), 0.3, 0.4)
    assert logits.tolist() == [4.0, 1.0]
    assert boxes[1].tolist() == [0.5, 0.5, 10.5, 10.5]
    assert boxes[0].tolist() == BOXES[3].tolist(), "the large one around it is dropped, and is not the same face"
    assert voted(BOXES[:0], np.zeros(0, np.float32), 0.3, 0.4)[0].shape == (0, 4)


def test_a_box_gains_an_octave_by_twice_the_side_and_nothing_by_a_larger_photograph() -> None:
    assert octaves(np.array([[0, 0, 30, 30], [5, 5, 65, 65]], np.float32), (300, 300, 3)).tolist() == [0, 1]
    assert octaves(np.array([[0, 0, 60, 60]], np.float32), (600, 600, 3)).tolist() == [0]


def test_places_of_one_thing_are_merged_into_their_mean() -> None:
    boxes, logits = merged(BOXES, np.array([2.0, 2.0, 1.0, 0.0], dtype=np.float32), 0.5)
    assert boxes.tolist() == [[0.5, 0.5, 10.5, 10.5], [20, 20, 30, 30], [22, 22, 27, 27]]
    assert logits.tolist() == [2.0, 1.0, 0.0]
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
    large = settings.model_copy(update={"min_face": 64})
    found = [detect(model, scene.photograph, 0.0, large) for scene in scenes]
    recovered = [
        bool(len(boxes.boxes)) and intersection_over_union(box, boxes.boxes).max() >= 0.3
        for scene, boxes in zip(scenes, found, strict=True)
        for box in scene.boxes
    ]
    assert np.mean(recovered) > 0.5, "of a model trained for seconds"
    assert all((np.diff(boxes.logits) <= 0).all() for boxes in found)


def test_a_box_beside_a_face_is_moved_to_it(bundle: Bundle, prepared_faces: Path, settings: Detection) -> None:
    model, split = FaceModel.load(bundle), read_split(prepared_faces, "audit")
    before, after = [], []
    for scene in compose(split, 20, seed=4, smallest=64):
        for face, (across, down, zoom) in product(scene.boxes, ((0.1, 0.1, 1.2), (-0.1, 0.1, 0.8), (0.1, -0.1, 1.0))):
            side = face[2] - face[0]
            beside = zoomed(face[None] + side * np.array([across, down] * 2, np.float32), zoom)
            boxes, _ = seen_again(model, scene.photograph, beside, settings)
            before.append(intersection_over_union(face, beside)[0])
            after.append(intersection_over_union(face, boxes)[0])
    assert len(after) > 40
    assert np.mean(after) > np.mean(before) + 0.03


def test_views_are_the_box_moved_and_mirrored_in_the_score(
    bundle: Bundle, prepared_faces: Path, settings: Detection
) -> None:
    photograph = compose(read_split(prepared_faces, "audit"), 1, seed=4, smallest=64)[0].photograph
    box = np.array([[100, 100, 164, 164]], np.float32)
    frames, pictures = views(photograph, box, 64, 6)
    assert frames[0].tolist() == [
        [100, 100, 164, 164],
        [94, 94, 158, 158],
        [106, 94, 170, 158],
        [94, 106, 158, 170],
        [106, 106, 170, 170],
    ]
    for (left, top, right, bottom), picture in zip(frames[0].astype(int), pictures, strict=True):
        assert (picture[0] == photograph[top:bottom, left:right]).all()
    model = FaceModel.load(bundle)
    once = seen_again(model, photograph, box, settings)
    there = seen_again(model, photograph[:, ::-1].copy(), np.array([[476, 100, 540, 164]], np.float32), settings)
    assert there[1][0] == pytest.approx(once[1][0], abs=0.3), "a face and its mirror image have one score"


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

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.bundle import Bundle
from components.datasets.faces.animal_head_reader import held_out_heads
from components.datasets.faces.raw import read_course_faces
from components.datasets.faces.reader import COURSE_FACES, PHOTOGRAPHS, centre, read_split
from components.labs.faces.evaluation.evaluate import cells, evaluate
from components.labs.faces.params import Evaluate, Train
from components.labs.faces.runtime.model import FaceModel
from components.records import Evaluation
from components.stats import threshold_at
from tests.face_data import RAW, section


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def evaluation(bundle: Bundle, prepared_faces: Path, written: Path) -> Evaluation:
    params = section(Evaluate, "faces", "evaluate", scenes=6, false_positive_rate=0.05)
    return evaluate(bundle, prepared_faces, written, params)


def test_the_threshold_comes_from_validation_and_is_applied_to_the_audit_split(
    evaluation: Evaluation, bundle: Bundle, prepared_faces: Path
) -> None:
    model = FaceModel.load(bundle, evaluation.serve["variant"])
    validation, audit = read_split(prepared_faces, "validation"), read_split(prepared_faces, "audit")
    known = ~validation.is_face & ~validation.shows(bundle.spec["held_out"])
    threshold = threshold_at(model.logits(centre(validation.images))[known], 0.05)
    logits = model.logits(centre(audit.images))
    assert 0 < known.sum() < (~validation.is_face).sum(), "animals that are held out choose nothing"
    assert evaluation.serve["threshold"] == threshold
    assert evaluation.metrics["recall"] == (logits[audit.is_face] > threshold).mean()
    assert evaluation.metrics["false_positive_rate"] == (logits[~audit.is_face] > threshold).mean()
    assert evaluation.serve["detection"]["min_face"] == 24


def test_photographs_have_a_stricter_threshold_than_crops(evaluation: Evaluation) -> None:
    assert evaluation.serve["detection_threshold"] >= evaluation.serve["threshold"]
    assert 0 <= evaluation.metrics["detection_recall"] <= 1
    assert 0 <= evaluation.metrics["average_precision"] <= 1
    assert evaluation.metrics["false_boxes"] < 2


def test_cells_are_those_of_perceived_race_and_gender(evaluation: Evaluation, prepared_faces: Path) -> None:
    audit = read_split(prepared_faces, "audit")
    found = cells(audit)
    assert sum(map(len, found.values())) == audit.is_face.sum()
    assert "Black Female" in found
    assert evaluation.counts["worst_cell_recall"] == min(map(len, found.values()))
    gap = evaluation.metrics["cell_recall_gap"]
    assert 0 <= gap <= 1 - evaluation.metrics["worst_cell_recall"]
    assert evaluation.metrics["worst_cell_recall"] <= evaluation.metrics["recall"]


def test_scores_and_worst_pictures_are_written(evaluation: Evaluation, written: Path) -> None:
    lines = (written / "scores_int8.csv").read_text().splitlines()
    assert lines[0] == "photo,face,hard,race,gender,age,logit"
    assert len(lines) == 321
    missed = evaluation.metrics["recall"] < 1
    assert (written / "misses.png").exists() == missed
    assert (written / "scores_float.csv").exists()


def test_requests_are_to_be_compared_with_the_faces_of_validation(evaluation: Evaluation, prepared_faces: Path) -> None:
    faces = int(read_split(prepared_faces, "validation").is_face.sum())
    found = {name: reference.values for name, reference in evaluation.drift_references.items()}
    assert found == {"brightness": faces, "sharpness": faces, "score": faces, "picture_side": 0}


def test_limitations_say_what_was_measured(evaluation: Evaluation) -> None:
    said = " ".join(evaluation.limitations)
    assert f"and {1 - evaluation.metrics['recall']:.1%} of all" in said
    assert f"takes {evaluation.metrics['false_positive_rate']:.1%} of cut-outs" in said
    assert f"finds {evaluation.metrics['detection_recall']:.0%} of the faces" in said


def test_heads_of_animals_are_tried_that_the_model_has_not_learned_from(
    evaluation: Evaluation, bundle: Bundle, prepared_faces: Path, tmp_path: Path
) -> None:
    assert "animal_false_positive_rate" not in evaluation.metrics, "there are no photographs"
    for file in prepared_faces.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / PHOTOGRAPHS).symlink_to(RAW / "caltech101" / "caltech101_nonfaces.tar")
    params = section(Evaluate, "faces", "evaluate", scenes=0, false_positive_rate=0.05)
    found = evaluate(bundle, tmp_path, tmp_path, params)
    heads = held_out_heads(tmp_path, section(Train, "faces", "train").held_out, 80)
    logits = FaceModel.load(bundle, found.serve["variant"]).logits(centre(heads.images))
    assert found.counts["animal_false_positive_rate"] == len(heads) == 109
    rate = (logits > found.serve["threshold"]).mean()
    assert found.metrics["animal_false_positive_rate"] == rate
    assert f"It takes {rate:.1%} of 109 heads of animals" in " ".join(found.limitations)


def test_the_course_s_faces_are_tried_where_the_data_holds_them(
    bundle: Bundle, prepared_faces: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    params = section(Evaluate, "faces", "evaluate", scenes=0, false_positive_rate=0.05)
    without = evaluate(bundle, prepared_faces, tmp_path, params)
    assert "course_faces_recall" not in without.metrics
    assert "NO COURSE FACES" in caplog.text
    faces = [np.asarray(image.resize((64, 64))) for image in read_course_faces(RAW)]
    if not faces:
        pytest.skip("NO COURSE FACES: `make data` fetches them")
    folder = tmp_path / "prepared"
    folder.mkdir()
    for file in prepared_faces.iterdir():
        (folder / file.name).symlink_to(file)
    np.save(folder / COURSE_FACES, np.stack(faces))
    found = evaluate(bundle, folder, tmp_path, params)
    assert found.counts["course_faces_recall"] == 20
    logits = FaceModel.load(bundle, found.serve["variant"]).logits(np.stack(faces))
    assert found.metrics["course_faces_recall"] == (logits > found.serve["threshold"]).mean() > 0
    assert found.serve == without.serve, "nothing is chosen by them"

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.datasets.faces.animal_head_reader import boxes
from components.datasets.faces.reader import PHOTOGRAPHS, category_of, centre, read_split
from components.errors import UserError
from components.labs.faces.params import Train
from components.labs.faces.training.batches import FaceData, flipped, kept_faces
from tests.face_data import RAW


def changed(params: Train, **changes: object) -> Train:
    return params.model_copy(update=changes)


@pytest.fixture(scope="module")
def data(prepared_faces: Path, train_params: Train) -> FaceData:
    return FaceData(prepared_faces, train_params)


def rows_of(data: FaceData, epoch: int, weights: np.ndarray | None = None) -> np.ndarray:
    return np.concatenate(data.drawn(epoch, weights).order)


def test_an_epoch_depends_on_its_seed_and_number_only(
    data: FaceData, prepared_faces: Path, train_params: Train
) -> None:
    again = FaceData(prepared_faces, train_params)
    other = FaceData(prepared_faces, changed(train_params, seed=2))
    assert (rows_of(data, 3) == rows_of(again, 3)).all()
    assert (rows_of(data, 3) != rows_of(data, 4)).any()
    assert (rows_of(data, 3) != rows_of(other, 3)).any()


def test_an_epoch_shows_every_face_once_and_negatives_in_their_proportions(
    prepared_faces: Path, train_params: Train
) -> None:
    params = changed(train_params, batch_size=40, negatives_per_face=1.5, hard_share=0.5)
    data = FaceData(prepared_faces, params)
    rows = rows_of(data, 0)
    faces, counts = np.unique(rows[data.labels[rows] == 1], return_counts=True)
    assert len(faces) == 320
    assert (counts == 1).all()
    assert len(rows) == 800
    assert np.isin(rows, data.hard).sum() == 240


def test_favoured_faces_come_as_often_as_their_weight_says(data: FaceData) -> None:
    weights = np.full(len(data.faces), 0.5 / (len(data.faces) - 1))
    weights[7] = 0.5
    rows = rows_of(data, 0, weights)
    assert 0.4 < (rows == data.faces[7]).sum() / np.isin(rows, data.faces).sum() < 0.6


def test_a_batch_holds_the_pictures_its_labels_speak_of(data: FaceData, prepared_faces: Path) -> None:
    batches = data.epoch(0)
    batch = batches[1]
    split = read_split(prepared_faces, "train")
    assert (batch.images.numpy() == split.images[batches.order[1]]).all()
    assert (batch.labels.numpy() == split.is_face[batches.order[1]]).all()
    with pytest.raises(IndexError):
        batches[len(batches)]


def test_a_group_is_thinned_out_by_its_label(prepared_faces: Path, train_params: Train) -> None:
    split = read_split(prepared_faces, "train")
    kept = kept_faces(split, changed(train_params, skew_group="Indian", skew_keep=0.25))
    indian, others = split.race[kept] == "Indian", split.race != "Indian"
    assert indian.sum() == round(0.25 * (split.race == "Indian").sum())
    assert (~indian).sum() == (others & split.is_face).sum()
    with pytest.raises(UserError, match=r"'Indain'; labels: Black"):
        kept_faces(split, changed(train_params, skew_group="Indain"))


def test_the_same_share_of_both_labels_is_made_wrong(prepared_faces: Path, train_params: Train) -> None:
    is_face = read_split(prepared_faces, "train").is_face
    labels = flipped(is_face, changed(train_params, flipped_labels=0.1))
    assert (labels != is_face)[is_face].sum() == 32
    assert (labels != is_face)[~is_face].sum() == 32
    assert (flipped(is_face, train_params) == is_face).all()


def test_nothing_is_learned_from_categories_that_are_held_out(prepared_faces: Path, train_params: Train) -> None:
    train, validation = read_split(prepared_faces, "train"), read_split(prepared_faces, "validation")
    held_out = {category_of(str(split.file[~split.is_face][0])) for split in (train, validation)}
    data = FaceData(prepared_faces, changed(train_params, held_out=tuple(held_out)))
    left_out = np.flatnonzero(train.shows(held_out))
    assert len(left_out) > 0
    assert {category_of(file) for file in train.file[left_out].tolist()} <= held_out
    rows = np.concatenate([rows_of(data, epoch) for epoch in range(4)])
    assert set(rows) == set(range(len(train))) - set(left_out), "and all else comes"
    kept = len(validation) - int(validation.shows(held_out).sum())
    assert sum(map(len, data.validation_batches().order)) == kept < len(validation)


def test_face_like_places_of_training_photographs_are_hard_negatives(
    prepared_faces: Path, train_params: Train, tmp_path: Path
) -> None:
    wanted, split = boxes("detector"), read_split(prepared_faces, "train")
    for file in prepared_faces.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / PHOTOGRAPHS).symlink_to(RAW / "caltech101" / "caltech101_nonfaces.tar")
    data = FaceData(tmp_path, train_params)
    added = np.arange(len(split), len(data.images))
    assert len(added) == sum(len(wanted.get(file, ())) for file in set(split.file)) > 0
    assert set(added) <= set(data.hard)
    assert not data.labels[added].any()


def test_a_split_that_does_not_fit_its_table_is_named(prepared_faces: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train.csv is missing: run the step prepare"):
        read_split(tmp_path, "train")
    (tmp_path / "train.csv").write_text((prepared_faces / "train.csv").read_text())
    np.save(tmp_path / "train_images.npy", np.zeros((3, 80, 80, 3), np.uint8))
    with pytest.raises(UserError, match="640 rows for 3 images"):
        read_split(tmp_path, "train")


def test_the_centre_has_the_size_that_the_network_sees() -> None:
    images = np.arange(2 * 80 * 80 * 3, dtype=np.uint32).reshape(2, 80, 80, 3)
    assert (centre(images) == images[:, 8:72, 8:72]).all()

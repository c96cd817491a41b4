"""No picture in two splits, nothing lost without a rule, and every expectation can fail."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from components.datasets import find_dataset
from components.datasets.faces.near_duplicates import NEAR, clusters, near_pairs, picture_hash
from components.datasets.faces.params import FacesParams
from components.datasets.faces.prepare import PEOPLE, prepare, squares
from components.datasets.faces.raw import read_course_faces
from components.datasets.faces.reader import COURSE_FACES, SPLITS, read_split
from components.datasets.validation import read_suite, run_suite, validate_tables
from components.errors import UserError
from components.settings import project_root
from components.sources.archive import read_tar, write_tar
from components.sources.catalogue import raw_folder

FACES = find_dataset("faces")
SUITES = FACES.expectations
DATA = project_root() / raw_folder("faces", "course")
STARTER = project_root() / raw_folder("faces", "starter")

LEAKS = {
    "train/9213.jpg": "val/1353.jpg",
    "train/6629.jpg": "val/2236.jpg",
    "train/1674.jpg": "val/3715.jpg",
    "train/7873.jpg": "val/1781.jpg",
    "train/9828.jpg": "val/3623.jpg",
    "train/9888.jpg": "val/454.jpg",
}
"""Pictures of FairFace: the first three are the same files under other labels, the others the same photographs."""

PARAMS = FacesParams(profile="course", seed=1, size=80, crops=3, validation_share=0.15, audit_share=0.25, limit=0)

Break = Callable[[pd.DataFrame], pd.DataFrame | None]


@pytest.fixture(scope="module")
def raw_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 300 real faces and 120 real photographs."""
    if not (DATA / "fairface").exists():
        pytest.skip("no FairFace: `make data` fetches it")
    raw = tmp_path_factory.mktemp("raw")
    wanted = {*LEAKS, *LEAKS.values()}
    wanted |= {f"train/{number}.jpg" for number in range(1, 200)} | {f"val/{number}.jpg" for number in range(1, 90)}
    for archive in ("fairface_train_10k", "fairface_val_5k"):
        _copy_tar("fairface", archive, raw, lambda name: name in wanted)
    _copy_csv("fairface", "fairface_labels", raw, lambda name: name in wanted)
    photographs = iter(range(10_000))
    chosen = {row["file"] for row in _rows("caltech101", "caltech101_nonfaces") if next(photographs) % 24 == 0}
    chosen |= {f"101_ObjectCategories/octopus/image_{number:04}.jpg" for number in range(1, 7)} | PEOPLE
    _copy_tar("caltech101", "caltech101_nonfaces", raw, lambda name: name in chosen)
    _copy_csv("caltech101", "caltech101_nonfaces", raw, lambda name: name in chosen)
    return raw


@pytest.fixture(scope="module")
def prepared(raw_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared-faces")
    prepare(raw_faces, folder, PARAMS)
    return folder


def _copy_tar(dataset: str, name: str, raw: Path, wanted: Callable[[str], bool]) -> None:
    (raw / dataset).mkdir(exist_ok=True)
    members = [(member, content) for member, content in read_tar(DATA / dataset / f"{name}.tar") if wanted(member)]
    write_tar(raw / dataset / f"{name}.tar", members)


def _rows(dataset: str, name: str) -> list[dict[str, str]]:
    with (DATA / dataset / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _copy_csv(dataset: str, name: str, raw: Path, wanted: Callable[[str], bool]) -> None:
    rows = [row for row in _rows(dataset, name) if wanted(row["file"])]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    (raw / dataset / f"{name}.csv").write_text(text.getvalue(), encoding="utf-8")


def test_the_known_leaks_are_found_and_their_training_side_is_dropped(prepared: Path) -> None:
    report = json.loads((prepared / "report.json").read_text())
    dropped = report["dropped"]["near_duplicate"]["pictures"]
    assert LEAKS.items() <= dropped.items()
    assert set(report["dropped"]["person"]["pictures"]) == PEOPLE
    files = {split: set(pd.read_csv(prepared / f"{split}.csv").file) for split in SPLITS}
    assert set(LEAKS.values()) <= files["audit"]
    assert not set(LEAKS) & (files["train"] | files["validation"])


def test_no_photograph_or_its_near_duplicates_are_in_two_splits(prepared: Path) -> None:
    photos = [set(pd.read_csv(prepared / f"{split}.csv").photo) for split in SPLITS]
    assert sum(map(len, photos)) == len(set.union(*photos))
    tables = pd.concat([pd.read_csv(prepared / f"{split}.csv") for split in SPLITS])
    octopuses = tables[tables.file.str.contains("octopus/image_000")]
    assert octopuses.file.nunique() == 6
    assert octopuses.photo.nunique() == 1, "they are one photograph, seen six times"


def test_every_raw_picture_is_in_a_split_or_dropped_by_a_rule(raw_faces: Path, prepared: Path) -> None:
    report = json.loads((prepared / "report.json").read_text())
    seen = pd.read_csv(prepared / "pictures.csv")
    names = [name for archive in raw_faces.glob("*/*.tar") for name, _ in read_tar(archive)]
    assert sorted(seen.id) == sorted(names)
    assert len(names) == sum(report["pictures"].values())


def test_images_are_the_pictures(raw_faces: Path, prepared: Path) -> None:
    split = read_split(prepared, "audit")
    assert split.images.shape[1:] == (80, 80, 3)
    table = pd.read_csv(prepared / "audit.csv", keep_default_na=False)
    row = int(np.flatnonzero(table.id == "val/1.jpg")[0])
    content = dict(read_tar(raw_faces / "fairface/fairface_val_5k.tar"))["val/1.jpg"]
    (prepared / "one.jpg").write_bytes(content)
    with Image.open(prepared / "one.jpg") as image:
        expected = np.asarray(image.convert("RGB").resize((80, 80), Image.Resampling.BILINEAR), float)
    assert np.abs(split.images[row] - expected).mean() < 1
    assert split.race[row]
    assert split.gender[row]
    negatives = table[table.face == 0]
    assert (negatives[["race", "gender", "age"]] == "").all(axis=None)
    assert negatives.groupby("file").size().eq(PARAMS.crops).all()


def test_preparing_again_gives_the_same_bytes(raw_faces: Path, prepared: Path, tmp_path: Path) -> None:
    prepare(raw_faces, tmp_path, PARAMS)
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (prepared / file.name).read_bytes(), file.name


def test_a_split_does_not_move_when_other_pictures_come(raw_faces: Path, prepared: Path, tmp_path: Path) -> None:
    prepare(raw_faces, tmp_path, PARAMS.model_copy(update={"limit": 150}))
    for split in SPLITS:
        few, all_of_them = (pd.read_csv(folder / f"{split}.csv") for folder in (tmp_path, prepared))
        alone = few[few.photo == few.file]  # near-duplicates go where the first of them goes
        assert set(alone.id) - set(LEAKS) <= set(all_of_them.id)
        assert len(few) < len(all_of_them)


def test_the_starter_profile_is_prepared_and_meets_its_expectations(tmp_path: Path) -> None:
    if not (STARTER / "lfw").exists():
        pytest.skip("no starter data: `python -m components fetch --profile starter`")
    report = prepare(STARTER, tmp_path, PARAMS)
    assert report["pictures"] == {"lfw": 200}
    assert np.load(tmp_path / COURSE_FACES).shape == (20, 64, 64, 3), "beside the splits, for evaluation alone"
    assert validate_tables(SUITES, FACES.tables(STARTER, tmp_path), tmp_path / "out") == []


def test_a_damaged_course_face_is_named(tmp_path: Path) -> None:
    (tmp_path / "course_faces").mkdir()
    write_tar(tmp_path / "course_faces" / "course_faces.tar", [("faces/DF/1.png", b"no picture")])
    with pytest.raises(UserError, match=r"course_faces\.tar: faces/DF/1\.png is damaged"):
        list(read_course_faces(tmp_path))


def test_a_damaged_picture_is_dropped_and_stops_validation(raw_faces: Path, tmp_path: Path) -> None:
    raw = shutil.copytree(raw_faces, tmp_path / "raw")
    archive = raw / "fairface/fairface_val_5k.tar"
    members = dict(read_tar(archive))
    members["val/1.jpg"] = members["val/1.jpg"][:2000]
    members["val/2.jpg"] = b"not a picture"
    archive.unlink()
    write_tar(archive, sorted(members.items()))
    out = tmp_path / "out"
    out.mkdir()
    report = prepare(raw, out, PARAMS)
    assert set(report["dropped"]["damaged"]["pictures"]) == {"val/1.jpg", "val/2.jpg"}
    failures = validate_tables(SUITES, FACES.tables(raw, out), tmp_path / "validated")
    assert any(failure.column == "damaged" and failure.rows == ("val/1.jpg", "val/2.jpg") for failure in failures)


def test_a_folder_without_pictures_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no fairface and no lfw: run the step fetch"):
        prepare(tmp_path, tmp_path, PARAMS)
    with pytest.raises(UserError, match=r"pictures\.csv is missing: run the step prepare first"):
        FACES.tables(tmp_path, tmp_path)


def test_a_picture_without_a_row_in_the_table_is_named(raw_faces: Path, tmp_path: Path) -> None:
    raw = shutil.copytree(raw_faces, tmp_path / "raw")
    labels = raw / "fairface/fairface_labels.csv"
    labels.write_text("".join(line for line in labels.open() if not line.startswith("val/7.jpg,")))
    with pytest.raises(UserError, match=r"fairface_labels\.csv has no row for val/7\.jpg"):
        prepare(raw, tmp_path, PARAMS)


def test_a_picture_saved_again_smaller_darker_and_worse_is_still_near(raw_faces: Path, tmp_path: Path) -> None:
    pictures = list(read_tar(raw_faces / "fairface/fairface_val_5k.tar"))[:20]
    hashes = []
    for name, content in pictures:
        file = tmp_path / name.replace("/", "-")
        file.write_bytes(content)
        image = Image.open(file)
        again = ImageEnhance.Brightness(image.resize((150, 150))).enhance(0.9)
        again.save(tmp_path / "again.jpg", quality=60)
        hashes += [picture_hash(image), picture_hash(Image.open(tmp_path / "again.jpg"))]
    found = set(near_pairs(np.stack(hashes)))
    assert found == {(2 * index, 2 * index + 1) for index in range(len(pictures))}


@given(st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=12))
def test_near_pairs_are_those_that_differ_in_few_bits(contents: list[bytes]) -> None:
    hashes = np.stack([np.unpackbits(np.frombuffer(content, np.uint8)).astype(bool) for content in contents])
    near = {
        (one, other)
        for one in range(len(hashes))
        for other in range(one + 1, len(hashes))
        if (hashes[one] != hashes[other]).sum() <= NEAR
    }
    assert set(near_pairs(hashes)) == near
    first = clusters(len(hashes), near)
    assert all(first[one] == first[other] for one, other in near)
    assert all(first[start] == start <= index for index, start in enumerate(first))


@given(st.text(max_size=5), st.integers(1, 400), st.integers(1, 400))
def test_crops_are_squares_inside_the_photograph(name: str, width: int, height: int) -> None:
    for left, top, right, bottom in squares(name, (width, height), PARAMS):
        assert 0 <= left < right <= width + 1e-6
        assert 0 <= top < bottom <= height + 1e-6
        assert right - left == pytest.approx(bottom - top)


def to(column: str, value: Any, rows: int = 1) -> Break:
    """Puts a value into the first rows."""

    def change(table: pd.DataFrame) -> None:
        table[column] = table[column].astype(object)
        table.loc[table.index[:rows], column] = value

    return change


def without(column: str, value: Any, left: int = 0) -> Break:
    """Removes what has this value, but for a few."""
    return lambda table: pd.concat([table[table[column] != value], table[table[column] == value].head(left)])


def repeat_an_id(table: pd.DataFrame) -> None:
    table.loc[table.index[1], "id"] = table.loc[table.index[0], "id"]


RACES = ("Black", "East Asian", "Indian", "Latino_Hispanic", "Middle Eastern", "Southeast Asian", "White")
OF_A_PICTURE: dict[str, Break] = {
    "expect_column_values_to_not_be_null id": to("id", None),
    "expect_column_values_to_be_unique id": repeat_an_id,
    "expect_column_sum_to_be_between damaged": to("damaged", 1),
    "expect_column_values_to_be_between width": to("width", 16),
    "expect_column_values_to_be_between height": to("height", 5000),
    "expect_column_values_to_be_in_set mode": to("mode", "CMYK"),
    "expect_column_values_to_be_between brightness": to("brightness", 1.0),
    "expect_column_values_to_be_between contrast": to("contrast", 0.0),
    "expect_column_values_to_be_in_set fate": to("fate", "lost"),
}
BREAKS: dict[tuple[str, str], Break] = {
    ("fairface", "expect_table_row_count_to_be_between"): lambda table: pd.concat(
        [table[table.race == race].head(20) for race in RACES]
    ),
    **{("fairface", f"expect_table_row_count_to_be_between {race}"): without("race", race, 7) for race in RACES},
    **{
        ("fairface", f"expect_table_row_count_to_be_between {gender}"): to_gender
        for gender, to_gender in (
            ("Female", lambda table: table.assign(gender="Male")),
            ("Male", lambda table: table.assign(gender="Female")),
        )
    },
    ("fairface", "expect_column_values_to_be_in_set race"): to("race", "other"),
    ("fairface", "expect_column_values_to_be_in_set gender"): to("gender", "other"),
    ("fairface", "expect_column_values_to_be_in_set age"): to("age", "12"),
    ("fairface", "expect_column_sum_to_be_between near_duplicate"): to("near_duplicate", 1, rows=15),
    ("fairface", "expect_column_sum_to_be_between leak"): to("leak", 1, rows=13),
    ("caltech101", "expect_table_row_count_to_be_between"): lambda table: pd.concat(
        [table[table.hard == 1].head(5), table[table.hard == 0].head(50)]
    ),
    ("caltech101", "expect_table_row_count_to_be_between 1"): without("hard", 1, 4),
    ("caltech101", "expect_column_sum_to_be_between face"): to("face", 1),
    ("caltech101", "expect_column_sum_to_be_between near_duplicate"): to("near_duplicate", 1, rows=36),
    **{(table, name): change for table in ("fairface", "caltech101") for name, change in OF_A_PICTURE.items()},
    ("prepared", "expect_table_row_count_to_be_between train"): without("split", "train", 79),
    ("prepared", "expect_table_row_count_to_be_between validation"): without("split", "validation", 11),
    ("prepared", "expect_table_row_count_to_be_between audit"): without("split", "audit", 29),
    ("prepared", "expect_table_row_count_to_be_between 1"): without("face", 1, 49),
    ("prepared", "expect_table_row_count_to_be_between 0"): without("face", 0, 49),
    ("prepared", "expect_table_row_count_to_be_between"): lambda table: pd.concat(
        [table[(table.split == split) & (table.face == face)].head(24) for split in SPLITS for face in (0, 1)]
    ).iloc[:],
    ("prepared", "expect_column_values_to_not_be_null id"): to("id", None),
    ("prepared", "expect_column_values_to_be_unique id"): repeat_an_id,
    ("prepared", "expect_column_values_to_be_in_set split"): to("split", "holdout"),
    ("prepared", "expect_column_values_to_be_in_set face"): to("face", 2),
    ("prepared", "expect_column_values_to_be_in_set photo_in_splits"): to("photo_in_splits", 2),
    ("prepared", "expect_column_values_to_be_in_set twin_in_another_split"): to("twin_in_another_split", 1),
    ("prepared", "expect_column_values_to_be_in_set race"): to("race", "other"),
    ("prepared", "expect_column_values_to_be_in_set gender"): to("gender", "other"),
    ("prepared", "expect_column_values_to_be_in_set age"): to("age", "12"),
}
"""For each expectation of a table, what happens to the table that only it should notice."""


def label(config: dict[str, Any]) -> str:
    kwargs = config["kwargs"]
    condition = kwargs.get("row_condition", {}).get("parameter")
    return " ".join(filter(None, (config["type"], kwargs.get("column"), "" if condition is None else str(condition))))


@pytest.fixture(scope="module")
def tables(raw_faces: Path, prepared: Path) -> dict[str, pd.DataFrame]:
    return FACES.tables(raw_faces, prepared)


def test_the_slice_meets_every_expectation(tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    assert tables.keys() == {"fairface", "caltech101", "prepared", "categories"}
    # Categories ask for more photographs than this slice has: test_categories.py has them.
    checked = {name: table for name, table in tables.items() if name != "categories"}
    assert validate_tables(SUITES, checked, tmp_path) == []


def test_every_expectation_has_a_way_to_break_it() -> None:
    suites = {table: read_suite(SUITES, table) for table in ("fairface", "caltech101", "prepared")}
    labels = [(table, label(config)) for table, suite in suites.items() for config in suite["expectations"]]
    assert sorted(labels) == sorted(BREAKS)
    others = {"lfw", "categories"}  # the starter data's, and the one that test_categories.py breaks
    assert {path.stem for path in SUITES.iterdir()} == {*suites, *others}


@pytest.mark.parametrize(("table", "expectation"), BREAKS, ids=str)
def test_an_expectation_fails_when_what_it_guards_against_happens(
    table: str, expectation: str, tables: dict[str, pd.DataFrame]
) -> None:
    frame = tables[table].copy()
    changed = BREAKS[table, expectation](frame)
    result = run_suite(read_suite(SUITES, table), frame if changed is None else changed)
    failed = [item["expectation_config"] for item in result.to_json_dict()["results"] if not item["success"]]
    assert expectation in [label(config) for config in failed]

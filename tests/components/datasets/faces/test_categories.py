"""The categories that are learned are held to expectations, and each fails when what it guards against happens."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from components.datasets import find_dataset
from components.datasets.faces.reader import SPLITS
from components.datasets.faces.tables import category_table
from components.datasets.validation import read_suite, run_suite
from tests.face_data import RAW, table_rows

SUITES = find_dataset("faces").expectations
Break = Callable[[pd.DataFrame], pd.DataFrame | None]
SLICE = 600
"""Photographs that `make smoke` takes."""


def listed(folder: Path, limit: int) -> Path:
    """The tables of a prepared folder with photographs of the real list, dealt to the splits three to twelve to five,
    and a face in each."""
    rows = table_rows(RAW / "caltech101" / "caltech101_nonfaces.csv")
    names = [rows[index * len(rows) // limit]["file"] for index in range(limit)]
    for part, split in enumerate(SPLITS):
        with (folder / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("id", "file", "photo", "face"))
            writer.writerow((f"train/{part}.jpg",) * 3 + (1,))
            for index, name in enumerate(names):
                place = 7 * index % 20
                if ("validation", "audit", "train")[(place > 2) + (place > 7)] == split:
                    writer.writerow((f"{name}#0", name, name, 0))
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    if not (RAW / "caltech101").is_dir():
        pytest.skip("no photographs: `make data` fetches them")
    found = category_table(listed(tmp_path_factory.mktemp("prepared"), SLICE))
    assert found is not None
    return found


def to(column: str, value: Any, row: int = 0) -> Break:
    def change(table: pd.DataFrame) -> None:
        table[column] = table[column].astype(object)
        table.loc[table.index[row], column] = value

    return change


def few(split: str, left: int) -> Break:
    return lambda table: pd.concat([table[table.split != split], table[table.split == split].head(left)])


def kinds(split: str, left: int) -> Break:
    """Leaves so many categories to a split."""
    return lambda table: table[(table.split != split) | table.category.isin(sorted(set(table.category))[:left])]


def repeat_an_id(table: pd.DataFrame) -> None:
    table.loc[table.index[1], "id"] = table.loc[table.index[0], "id"]


BREAKS: dict[str, Break] = {
    "expect_table_row_count_to_be_between train": few("train", 249),
    "expect_table_row_count_to_be_between validation": few("validation", 39),
    "expect_table_row_count_to_be_between audit": few("audit", 69),
    "expect_column_values_to_not_be_null id": to("id", None),
    "expect_column_values_to_be_unique id": repeat_an_id,
    "expect_column_values_to_be_in_set split": to("split", "holdout"),
    "expect_column_values_to_not_be_null category": to("category", None),
    "expect_column_values_to_be_in_set category": to("category", "Faces_easy"),
    "expect_column_unique_value_count_to_be_between category train": kinds("train", 95),
    "expect_column_unique_value_count_to_be_between category validation": kinds("validation", 40),
    "expect_column_unique_value_count_to_be_between category audit": kinds("audit", 60),
    "expect_column_values_to_be_in_set of_another_category": to("of_another_category", 1),
    "expect_column_values_to_be_in_set photo_in_splits": to("photo_in_splits", 2),
}
"""For each expectation, what happens to the table that it should notice."""


def label(config: dict[str, Any]) -> str:
    kwargs = config["kwargs"]
    return " ".join(
        filter(None, (config["type"], kwargs.get("column"), kwargs.get("row_condition", {}).get("parameter")))
    )


def failed(table: pd.DataFrame) -> list[str]:
    results = run_suite(read_suite(SUITES, "categories"), table).to_json_dict()["results"]
    return [label(item["expectation_config"]) for item in results if not item["success"]]


def test_a_small_slice_meets_every_expectation_and_each_has_a_way_to_break_it(table: pd.DataFrame) -> None:
    assert failed(table) == []
    assert len(table) == SLICE, "faces are in no category"
    assert sorted(label(config) for config in read_suite(SUITES, "categories")["expectations"]) == sorted(BREAKS)


@pytest.mark.parametrize("expectation", BREAKS)
def test_an_expectation_fails_when_what_it_guards_against_happens(expectation: str, table: pd.DataFrame) -> None:
    changed = table.copy()
    returned = BREAKS[expectation](changed)
    assert expectation in failed(changed if returned is None else returned)


def test_a_photograph_that_stands_for_one_of_another_category_or_split_is_seen(tmp_path: Path) -> None:
    """As a near-duplicate would, whose label is then the other's."""
    if not (RAW / "caltech101").is_dir():
        pytest.skip("no photographs: `make data` fetches them")
    path = listed(tmp_path, SLICE) / "train.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    rows[2][2] = rows[-1][2]
    rows[3][2] = table_rows(tmp_path / "audit.csv")[1]["photo"]
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    found = category_table(tmp_path)
    assert found is not None
    assert {"of_another_category", "photo_in_splits"} <= {name.split()[1] for name in failed(found)}


def test_the_starter_data_has_no_categories_to_check(tmp_path: Path) -> None:
    for split in SPLITS:
        (tmp_path / f"{split}.csv").write_text("id,file,photo,face\nlfw/001,lfw/001,lfw/001,1\n")
    assert category_table(tmp_path) is None

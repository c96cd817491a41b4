"""Every expectation on digits holds on the real data, and fails when what it guards against happens."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.datasets import find_dataset
from components.datasets.validation import read_suite, run_suite, validate_tables
from components.errors import UserError
from components.labs import LABS, Inputs, find
from components.params import load_dataset
from components.settings import project_root
from components.steps import inputs_of
from components.steps.validate import validate
from tests.digits_data import prepared, raw_folders

Break = Callable[[pd.DataFrame], pd.DataFrame | None]
DATASET = find_dataset("digits")
SUITES = DATASET.expectations
LIMIT = 600


def to(column: str, value: Any, **where: Any) -> Break:
    """Puts a value into the first row that differs, among those that `where` describes."""

    def change(table: pd.DataFrame) -> None:
        rows = table[column].notna()
        for name, wanted in where.items():
            rows &= table[name] == wanted
        if value is not None:
            rows &= table[column] != value
        table[column] = table[column].astype(object if value is None else table[column].dtype)
        table.loc[table.index[rows][0], column] = value

    return change


def keep(train: int, validation: int, test: int) -> Break:
    """Leaves so many pictures of each split."""
    wanted = {"train": train, "validation": validation, "test": test}
    return lambda table: pd.concat([table[table.split == split].head(number) for split, number in wanted.items()])


def repeat_an_id(table: pd.DataFrame) -> None:
    table.loc[table.index[1], "id"] = table.loc[table.index[0], "id"]


def lose_a_digit(table: pd.DataFrame) -> None:
    """Half of the fours become threes, half of them fives."""
    fours = table.index[table.label == 4]
    table.loc[fours[::2], "label"], table.loc[fours[1::2], "label"] = 3, 5


def slip(table: pd.DataFrame) -> None:
    """Labels of a tenth of the pictures, lost and filled with zeros."""
    table.loc[table.index[::10], "label"] = 0


COMMON: dict[str, Break] = {
    "expect_column_values_to_not_be_null id": to("id", None),
    "expect_column_values_to_be_unique id": repeat_an_id,
    "expect_column_values_to_not_be_null label": to("label", None),
    "expect_column_values_to_be_in_set label": to("label", 10),
    "expect_column_values_to_be_between ink": to("ink", 0.9),
    "expect_column_values_to_be_between brightest": to("brightest", 16),
    "expect_column_values_to_be_between off_centre": to("off_centre", 9.0),
}
RAW_ONLY: dict[str, Break] = {
    "expect_table_row_count_to_equal": lambda table: table.drop(index=table.index[table.published != "test"][:1]),
    "expect_column_mean_to_be_between label": slip,
}
BREAKS: dict[tuple[str, str], Break] = {
    **{("prepared", expectation): change for expectation, change in COMMON.items()},
    ("prepared", "expect_column_unique_value_count_to_be_between label"): lambda table: table[table.label != 4],
    ("prepared", "expect_table_row_count_to_be_between"): keep(60, 10, 10),
    ("prepared", "expect_table_row_count_to_be_between train"): keep(40, 50, 70),
    ("prepared", "expect_table_row_count_to_be_between validation"): keep(200, 2, 50),
    ("prepared", "expect_table_row_count_to_be_between test"): keep(200, 40, 2),
    ("prepared", "expect_column_values_to_not_be_null split"): to("split", None),
    ("prepared", "expect_column_values_to_be_in_set split"): to("split", "holdout", published="neither"),
    ("prepared", "expect_column_values_to_be_in_set split test"): to("split", "train", published="test"),
    ("prepared", "expect_column_values_to_be_in_set split train"): to("split", "test", published="train"),
    ("prepared", "expect_column_values_to_be_in_set changed"): to("changed", 1),
    **{(table, name): change for table in ("mnist", "uci") for name, change in {**COMMON, **RAW_ONLY}.items()},
    **{(table, "expect_column_unique_value_count_to_be_between label"): lose_a_digit for table in ("mnist", "uci")},
    ("uci", "expect_column_values_to_be_in_set fate"): to("fate", "lost"),
    ("mnist", "expect_column_values_to_be_in_set published"): to("published", "elsewhere", published="train"),
    ("mnist", "expect_table_row_count_to_equal test"): lambda table: table.assign(
        published=table.published.where(table.index != table.index[table.published == "test"][0], "train"),
        fate=table.fate.where(table.index != table.index[table.published == "test"][0], "train"),
    ),
    ("mnist", "expect_column_values_to_be_in_set fate test"): to("fate", "validation", published="test"),
    ("mnist", "expect_column_values_to_be_in_set fate train"): to("fate", "test", published="train"),
}
"""For each expectation of a table, what happens to the table that only it should notice."""


def label(config: dict[str, Any]) -> str:
    kwargs = config["kwargs"]
    return " ".join(
        filter(None, (config["type"], kwargs.get("column"), kwargs.get("row_condition", {}).get("parameter")))
    )


@cache
def table_of(name: str) -> pd.DataFrame:
    """The raw table of a source, or the prepared ones of a slice of the largest that is here."""
    source = next(iter(raw_folders())) if name == "prepared" else name
    with tempfile.TemporaryDirectory() as folder:
        return DATASET.tables(raw_folders()[source], prepared(Path(folder), LIMIT, source))[name]


def test_every_expectation_has_a_way_to_break_it() -> None:
    suites = {path.stem for path in SUITES.iterdir()}
    assert suites == {"mnist", "uci", "prepared"}
    labels = [(table, label(config)) for table in suites for config in read_suite(SUITES, table)["expectations"]]
    assert sorted(labels) == sorted(BREAKS)


@pytest.mark.parametrize("source", ["mnist", "uci"])
def test_the_real_digits_meet_every_expectation(source: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if source not in raw_folders():
        pytest.skip(f"{source} is not here: `make data` fetches it")
    tables = DATASET.tables(raw_folders()[source], prepared(tmp_path / "prepared", 0, source))
    assert list(tables) == [source, "prepared"]
    assert validate_tables(SUITES, tables, tmp_path / "report") == []
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
    assert str(tables[source].label.mean())[:5] in (tmp_path / "report" / f"{source}.html").read_text()


def test_a_small_slice_meets_every_expectation(tmp_path: Path) -> None:
    tables = DATASET.tables(raw_folders()["uci"], prepared(tmp_path / "prepared", 150))
    assert validate_tables(SUITES, tables, tmp_path / "report") == []


def test_a_prepared_picture_with_other_pixels_is_measured_anew(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "prepared", 150)
    before = DATASET.tables(raw_folders()["uci"], folder)["prepared"]
    images = np.load(folder / "train_images.npy")
    images[3], images[5] = 0, images[4]
    np.save(folder / "train_images.npy", images)
    after = DATASET.tables(raw_folders()["uci"], folder)["prepared"]
    assert before.changed.sum() == 0
    assert after.index[after.changed == 1].tolist() == [3, 5]
    assert after[["ink", "brightest", "copies"]].iloc[3].tolist() == [0, 0, 1]
    assert after.copies.iloc[4:6].tolist() == [2, 2]
    assert after.loc[[4, 5], ["id", "ink", "off_centre"]].duplicated().tolist() == [False, True]
    was, remains = (table.drop(index=[3, 5]).drop(columns="copies") for table in (before, after))
    pd.testing.assert_frame_equal(was, remains)


@pytest.mark.parametrize(("table", "expectation"), BREAKS, ids=str)
def test_an_expectation_on_digits_fails_alone_when_what_it_guards_against_happens(table: str, expectation: str) -> None:
    if table not in ("prepared", *raw_folders()):
        pytest.skip(f"{table} is not here: `make data` fetches it")
    frame = table_of(table).copy()
    if expectation.endswith("in_set split"):
        frame.loc[frame.index[0], "published"] = "neither"  # the other expectations on splits are of published parts
    changed = BREAKS[table, expectation](frame)
    result = run_suite(read_suite(SUITES, table), frame if changed is None else changed)
    failed = [label(item["expectation_config"]) for item in result.to_json_dict()["results"] if not item["success"]]
    assert failed == [expectation]


def test_the_step_lets_the_real_digits_pass_and_stops_at_a_label_that_is_no_digit(tmp_path: Path) -> None:
    params = load_dataset(DATASET, project_root() / "params.yaml")
    raw, folder = raw_folders()["uci"], prepared(tmp_path / "prepared", 0)
    validate(DATASET, params, raw, folder, tmp_path / "validate")
    assert (tmp_path / "validate" / "prepared.html").exists()
    labels = np.load(folder / "test_labels.npy")
    labels[0] = 11
    np.save(folder / "test_labels.npy", labels)
    with pytest.raises(UserError, match="column 'label'"):
        validate(DATASET, params, raw, folder, tmp_path / "validate")


def test_every_lab_on_digits_reads_the_one_prepared_folder(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "digits" / "prepare", 60)
    labs = [lab for lab in map(find, LABS) if lab.dataset == DATASET.name]
    assert {lab.name for lab in labs} >= {"digits", "mlp", "digit_generation"}
    assert [inputs_of(lab, tmp_path) for lab in labs] == [Inputs(folder)] * len(labs)

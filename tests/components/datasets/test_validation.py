"""Every expectation of every suite holds on the real data, and fails when what it guards against happens."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from components.datasets import find_dataset
from components.datasets.validation import Failure, read_suite, run_suite, validate_tables
from components.errors import UserError
from tests.music_data import ALL, RAW

DATASET = find_dataset("music")
SUITES = DATASET.expectations
Break = Callable[[pd.DataFrame], pd.DataFrame | None]


def to(column: str, value: Any, share: float = 0.0) -> Break:
    """Puts a value into the first row that differs, or into a share of all rows."""

    def change(table: pd.DataFrame) -> None:
        rows = table.index[table[column].ne(value)] if value is not None else table.index
        table.loc[rows[: max(1, round(share * len(table)))], column] = value

    return change


def to_printed(column: str, value: Any) -> Break:
    """Puts a value into the first row of a printed tune."""

    def change(table: pd.DataFrame) -> None:
        table.loc[table.index[table.origin == "printed"][0], column] = value

    return change


def keep(train: int, validation: int, test: int) -> Break:
    """Leaves so many tunes of each split."""
    wanted = {"train": train, "validation": validation, "test": test}
    return lambda table: pd.concat([table[table.split == split].head(number) for split, number in wanted.items()])


def repeat_an_id(table: pd.DataFrame) -> None:
    table.loc[table.index[1], "id"] = table.loc[table.index[0], "id"]


KNOWN_VALUES = {"type": "tango", "key": "H Major", "metre": "5/7", "unit_length": "1/3"}

BREAKS: dict[tuple[str, str], Break] = {
    ("raw", "expect_table_row_count_to_equal"): lambda table: table[table.index != 0],
    ("raw", "expect_column_values_to_match_regex alphabet"): to("alphabet", "\n 12:?ABKLMX"),
    ("raw", "expect_column_values_to_be_in_set fate"): to("fate", "lost"),
    **{
        ("raw", f"expect_column_sum_to_be_between {fault}"): to(fault, 1)
        for fault in ("headerless", "no_notes", "repeats_music", "unreadable", "bars_do_not_add_up")
    },
    ("prepared", "expect_table_row_count_to_be_between"): keep(25, 2, 2),
    ("prepared", "expect_table_row_count_to_be_between train"): keep(19, 80, 80),
    ("prepared", "expect_table_row_count_to_be_between validation"): keep(600, 1, 80),
    ("prepared", "expect_table_row_count_to_be_between test"): keep(600, 80, 1),
    ("prepared", "expect_column_values_to_be_in_set split"): to("split", "holdout"),
    ("prepared", "expect_column_values_to_be_in_set copies"): to("copies", 2),
    ("prepared", "expect_column_values_to_be_in_set music_in_splits"): to("music_in_splits", 2),
    ("prepared", "expect_column_values_to_be_in_set unknown_characters"): to("unknown_characters", "é"),
    ("prepared", "expect_column_values_to_be_in_set headerless"): to("headerless", 1),
    **{
        ("prepared", f"expect_column_values_to_be_in_set {fault}"): to(fault, 1, share=0.06)
        for fault in ("no_notes", "unreadable", "bars_do_not_add_up")
    },
    **{
        ("prepared", f"expect_column_values_to_not_be_null {column}"): to(column, None)
        for column in ("split", "type", "key", "metre", "unit_length", "collection")
    },
    **{
        (table, f"expect_column_values_to_be_in_set {column}{own}"): to(column, value)
        for table in ("raw", "prepared")
        for column, value in KNOWN_VALUES.items()
        for own in (" own" if table == "prepared" and column in ("type", "key") else "",)
    },
    ("prepared", "expect_column_values_to_be_in_set collection"): to("collection", "elsewhere"),
    **{
        ("prepared", f"expect_column_values_to_be_in_set {column} printed"): to_printed(column, value)
        for column, value in {"split": "test", "type": "tango", "bars_do_not_add_up": 1}.items()
    },
    ("collections", "expect_table_row_count_to_be_between"): lambda table: table.head(999),
    ("collections", "expect_column_values_to_not_be_null id"): to("id", None),
    ("collections", "expect_column_values_to_be_unique id"): repeat_an_id,
    ("collections", "expect_column_values_to_be_in_set fate"): to("fate", "lost"),
    ("collections", "expect_column_values_to_be_in_set collection"): to("collection", "elsewhere"),
    **{
        (table, expectation): change
        for table in ("raw", "prepared")
        for expectation, change in {
            "expect_column_values_to_be_between length": to("length", 9000),
            "expect_column_values_to_not_be_null id": to("id", None),
            "expect_column_values_to_be_unique id": repeat_an_id,
        }.items()
    },
}
"""For each expectation of a table, what happens to the table that only it should notice."""


def label(config: dict[str, Any]) -> str:
    kwargs = config["kwargs"]
    return " ".join(
        filter(None, (config["type"], kwargs.get("column"), kwargs.get("row_condition", {}).get("parameter")))
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    DATASET.prepare(RAW, folder, ALL.model_copy(update={"collections": ("ryans",)}))
    return folder


@pytest.fixture(scope="module")
def tables(prepared: Path) -> dict[str, pd.DataFrame]:
    return DATASET.tables(RAW, prepared)


def validate(table: str, frame: pd.DataFrame, out: Path) -> list[Failure]:
    return validate_tables(SUITES, {table: frame}, out)


def test_every_expectation_has_a_way_to_break_it() -> None:
    suites = {table: read_suite(SUITES, table) for table in ("collections", "prepared", "raw")}
    labels = [(table, label(config)) for table, suite in suites.items() for config in suite["expectations"]]
    assert sorted(labels) == sorted(BREAKS)
    assert sorted(path.stem for path in SUITES.iterdir()) == ["collections", "prepared", "raw"]


def test_the_real_data_meets_every_expectation(tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    assert validate_tables(SUITES, tables, tmp_path) == []
    report = json.loads((tmp_path / "validation.json").read_text())
    rows = {name: part["rows"] for name, part in report.items()}
    assert (rows["raw"], rows["collections"]) == (806, 1059)
    assert 804 + 700 < rows["prepared"] < 804 + 800


@pytest.mark.parametrize(("table", "expectation"), BREAKS, ids=str)
def test_an_expectation_fails_alone_when_what_it_guards_against_happens(
    table: str, expectation: str, tables: dict[str, pd.DataFrame]
) -> None:
    frame = tables[table].copy()
    changed = BREAKS[table, expectation](frame)
    result = run_suite(read_suite(SUITES, table), frame if changed is None else changed)
    failed = [item["expectation_config"] for item in result.to_json_dict()["results"] if not item["success"]]
    assert [label(config) for config in failed] == [expectation]


def test_a_small_slice_meets_every_expectation(tmp_path: Path) -> None:
    DATASET.prepare(RAW, tmp_path, ALL.model_copy(update={"limit": 30}))
    assert validate_tables(SUITES, DATASET.tables(RAW, tmp_path), tmp_path / "out") == []


def test_a_failure_names_expectation_column_and_rows(tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    frame = tables["prepared"].copy()
    frame.loc[frame.index[:12], "key"] = "H Major"
    (failure,) = validate("prepared", frame, tmp_path)
    rows = [f"{frame.id[index]} (line {frame.line[index]})" for index in range(10)]
    assert str(failure) == (
        "prepared: expect_column_values_to_be_in_set failed for column 'key': 12 of 804 rows, such as 'H Major'; "
        f"rows {', '.join(rows)} and 2 more"
    )


def test_a_count_of_faults_that_is_off_names_the_faulty_rows(tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    frame = tables["raw"].copy()
    frame.loc[0, "headerless"] = 1
    (failure,) = validate("raw", frame, tmp_path)
    assert [re.findall(r"line (\d+)", row)[0] for row in failure.rows] == ["1", "246", "7189"]
    assert "found 3" in str(failure)


def test_an_empty_table_fails(tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    for name, frame in tables.items():
        assert any("row_count" in failure.expectation for failure in validate(name, frame.head(0), tmp_path))


def test_a_missing_column_fails_and_is_named(tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    failures = validate("raw", tables["raw"].drop(columns=["metre"]), tmp_path)
    assert ["metre" in str(failure) for failure in failures] == [True]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "is missing"), ("{", "is not JSON"), ('{"name": "x", "expectations": []}', "holds no expectations")],
)
def test_a_suite_that_checks_nothing_is_refused(tmp_path: Path, content: str | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / "raw.json").write_text(content)
    with pytest.raises(UserError, match=complaint):
        read_suite(tmp_path, "raw")


def test_the_pages_need_nothing_else_and_are_the_same_each_time(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    frame = tables["raw"].copy()
    frame.loc[0, "key"] = "<script>alert(1)</script>"
    for name in ("one", "two"):
        validate("raw", frame, tmp_path / name)
    page = (tmp_path / "one" / "raw.html").read_text()
    assert not re.search(r"https?://|<script|<link|\bsrc=|\bhref=|url\(", page)
    assert "NOT met" in page
    assert "&lt;script&gt;" in page
    assert len(page) < 100_000
    for file in ("raw.html", "validation.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()

"""The UCI sets as published, and what validation finds in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from components.datasets.uci import DATASET
from components.datasets.uci.prepare import prepare
from components.datasets.uci.raw import ARCHIVE, STARTER, read_raw
from components.datasets.uci.reader import read_tables
from components.datasets.validation import run_suite
from components.errors import UserError
from components.sources.archive import write_tar

PROJECT = Path(__file__).resolve().parents[4]


def course() -> Path:
    """The fetched archive's folder; its tests are left out where it is not here."""
    if not (PROJECT / "data" / "uci" / ARCHIVE).exists():
        pytest.skip("the UCI sets are not here: `make data` fetches them")
    return PROJECT / "data" / "uci"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uci")
    prepare(course(), folder, limit=0)
    return folder


def small_archive(folder: Path, **changed: str) -> Path:
    """An archive of one set, yacht, of twelve rows; `changed` replaces files, named without .txt."""
    draw = np.random.default_rng(0)
    table = "\n".join(" ".join(f"{value:.3f}" for value in row) for row in draw.normal(size=(12, 7)))
    files = {
        "data": table,
        "index_features": "0 1 2 3 4 5",
        "index_target": "6",
        "index_test_0": "0\n5",
        "index_test_1": "1\n2",
        **changed,
    }
    write_tar(
        folder / ARCHIVE, [(f"uci/yacht/{name}.txt", text.encode()) for name, text in sorted(files.items()) if text]
    )
    return folder


def test_the_published_sets_keep_their_sizes_and_their_splits(prepared: Path) -> None:
    tables = read_tables(prepared)
    sizes = {name: (*table.features.shape, len(table.test)) for name, table in tables.items()}
    assert sizes == {
        "concrete": (1030, 8, 20),
        "energy": (768, 8, 20),
        "kin8nm": (8192, 8, 20),
        "naval": (11934, 14, 20),
        "power": (9568, 4, 20),
        "protein": (45730, 9, 5),
        "wine": (1599, 11, 20),
        "yacht": (308, 6, 20),
    }
    assert tables["concrete"].features[0].tolist() == [540.0, 0.0, 0.0, 162.0, 2.5, 1040.0, 676.0, 28.0]
    assert tables["concrete"].target[0] == 79.99


def test_naval_loses_its_two_constant_inputs(prepared: Path) -> None:
    report = json.loads((prepared / "report.json").read_text())
    assert report["sets"]["naval"]["dropped_features"] == ["compressor_inlet_temperature", "compressor_inlet_pressure"]


def test_test_rows_that_are_copies_of_training_rows_are_marked(prepared: Path) -> None:
    wine = read_tables(prepared)["wine"]
    rows = np.column_stack([wine.features, wine.target])
    train = {tuple(row) for row in rows[~wine.test[0]]}
    copied = [place for place in np.flatnonzero(wine.test[0]) if tuple(rows[place]) in train]
    assert np.flatnonzero(wine.copies[0]).tolist() == copied
    assert len(copied) / wine.test[0].sum() == pytest.approx(0.319, abs=0.001)
    assert not read_tables(prepared)["energy"].copies.any()


def test_the_published_sets_meet_their_expectations(prepared: Path) -> None:
    for name, table in DATASET.tables(course(), prepared).items():
        suite = json.loads((DATASET.expectations / f"{name}.json").read_text())
        result = run_suite(suite, table)
        assert result.success, [item.expectation_config for item in result.results if not item.success]


def test_a_feature_that_gives_the_target_away_is_found(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    table = draw.normal(size=(40, 7))
    table[:, 2] = 3 * table[:, 6] + 1
    text = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in table)
    raw = small_archive(tmp_path, data=text)
    (tmp_path / "out").mkdir()
    prepare(raw, tmp_path / "out", limit=0)
    columns = DATASET.tables(raw, tmp_path / "out")["columns"]
    assert columns.loc[columns.target_correlation > 0.98, "id"].tolist() == ["yacht:length_displacement"]
    suite = json.loads((DATASET.expectations / "columns.json").read_text())
    assert not run_suite(suite, columns).success


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"data": "1 2 three"}, "uci_regression.tar: yacht/data.txt is not a table of numbers"),
        ({"index_features": "0 1 2 3 4"}, "yacht has 5 features and 1 targets; 6 and 1"),
        ({"index_target": "5"}, "6 and 1 that is no feature are expected"),
        ({"index_test_0": "0\n12"}, "yacht/index_test_0.txt holds a number that is no index below 12"),
        ({"index_test_0": "3\n3"}, "yacht/index_test_0.txt names an index twice"),
        ({"index_target": ""}, "lacks yacht/index_target.txt"),
    ],
)
def test_a_damaged_archive_is_refused_by_the_name_of_the_file(
    tmp_path: Path, changed: dict[str, str], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        read_raw(small_archive(tmp_path, **changed))


def test_a_limit_too_low_for_a_split_says_so(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="raise the limit"):
        prepare(small_archive(tmp_path), tmp_path / "out", limit=6)


def test_the_starter_is_scikit_learns_diabetes_table(tmp_path: Path) -> None:
    import sklearn.datasets

    folder = Path(sklearn.datasets.__file__).parent / "data"
    for name in STARTER:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "out").mkdir()
    prepare(tmp_path, tmp_path / "out", limit=0)
    (name,) = tables = read_tables(tmp_path / "out")
    assert name == "diabetes"
    table = tables[name]
    assert table.features.shape == (442, 10)
    assert table.test.shape == (20, 442)
    assert set(table.test.sum(axis=1)) == {44}
    expected = sklearn.datasets.load_diabetes(scaled=False)
    assert np.array_equal(table.features, expected.data)
    assert np.array_equal(table.target, expected.target)
    for suite_name, frame in DATASET.tables(tmp_path, tmp_path / "out").items():
        suite = json.loads((DATASET.expectations / f"{suite_name}.json").read_text())
        assert run_suite(suite, frame).success, suite_name

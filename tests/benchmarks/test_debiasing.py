"""The debiasing sweep: nothing is done twice or learned from what is held out, and figures mean what they say."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import debiasing
from benchmarks.debiasing import EvenGroups, Plan, cells, divide, params_of, read_plan, results_of, sweep
from benchmarks.debiasing_report import compared, point, summary, write_report
from components.datasets.faces.reader import read_split
from components.errors import UserError
from components.labs import Inputs
from components.labs.faces.params import Train
from tests.face_data import PROJECT, section, write_prepared

SETTINGS = PROJECT / "benchmarks" / "debiasing.yaml"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def base() -> Train:
    return section(Train, "faces", "train")


def small(**changes: Any) -> Plan:
    training = {"widths": [4, 8, 8], "hidden_size": 8, "latent_dim": 4, "batch_size": 32, "max_epochs": 2}
    values: dict[str, Any] = {
        "faces": 120,
        "negatives": 120,
        "watched": 40,
        "seeds": (1, 2),
        "false_positive_rates": (0.05,),
        "training": training,
        "sets": {"Black 5 %": {"skew_group": "Black", "skew_keep": 0.05}},
        "arms": {"standard": {"model": "standard"}, "alpha 0.1": {"model": "dbvae", "smoothing": 0.1}},
    }
    return Plan(**(values | changes))


def test_the_committed_plans_name_parameters_that_training_has(base: Train) -> None:
    for name in ("small", "full"):
        plan = read_plan(SETTINGS, name)
        names = {cell.file for cell in cells(plan)}
        assert len(names) == len(list(cells(plan))), "a file for each cell"
        assert {params_of(cell, plan, base).seed for cell in cells(plan)} == set(plan.seeds)


def test_a_wrong_plan_is_one_line_that_names_the_fault(base: Train, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no section 'smal'"):
        read_plan(SETTINGS, "smal")
    (tmp_path / "plan.yaml").write_text("small: {faces: many}")
    with pytest.raises(UserError, match=r"small\.faces"):
        read_plan(tmp_path / "plan.yaml", "small")
    plan = small(arms={"standard": {}, "alpha": {"smothing": 0.1}})
    with pytest.raises(UserError, match="alpha: smothing"):
        [params_of(cell, plan, base) for cell in cells(plan)]
    with pytest.raises(UserError, match=r"train\.csv is missing"):
        sweep(plan, base, tmp_path, tmp_path / "out", 1, 0)


def test_photographs_are_learned_from_or_held_out_whole(prepared: Path, tmp_path: Path) -> None:
    divide(prepared, small(), tmp_path / "divided")
    taken = [read_split(tmp_path / "divided" / "taken", split) for split in ("train", "validation")]
    left = read_split(tmp_path / "divided" / "left", "validation")
    whole = [read_split(prepared, split) for split in ("train", "validation")]
    assert sum(map(len, taken)) + len(left) == sum(map(len, whole))
    for part, split in zip(taken, whole, strict=True):
        assert np.isin(split.photo, part.photo).sum() == len(part), "all crops of a photograph, or none"
    assert [int(split.is_face.sum()) for split in taken] == [120, 40]
    sums = sum(int(split.images.sum(dtype=np.int64)) for split in [*taken, left])
    assert sums == sum(int(split.images.sum(dtype=np.int64)) for split in whole), "every picture is in one of them"


def test_a_second_run_does_what_is_missing_and_only_that(
    prepared: Path, base: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, debiasing.__name__)
    plan, out = small(), tmp_path / "out"
    assert sweep(plan, base, prepared, out, 2, 0) == 0
    results = results_of(plan, out)
    assert [(result["arm"], result["seed"]) for result in results] == [
        ("standard", 1),
        ("standard", 2),
        ("alpha 0.1", 1),
        ("alpha 0.1", 2),
    ]
    assert results[2]["favoured"]["faces"] < 120, "the group was thinned out"
    assert results[0]["favoured"] is None
    lost = out / "cells" / "Black-5_standard_2.json"
    before = {file.name: file.read_bytes() for file in (out / "cells").iterdir()}
    lost.unlink()
    caplog.clear()
    assert sweep(plan, base, prepared, out, 1, 0) == 0
    assert "1 of 4 cells are to do" in caplog.text
    again = {file.name: file.read_bytes() for file in (out / "cells").iterdir()}
    assert again.keys() == before.keys()
    assert all(again[name] == before[name] for name in before if name != lost.name)
    assert results_of(plan, out)[1]["audit"] == results[1]["audit"], "the same cell gives the same result"
    caplog.clear()
    assert sweep(small(training=plan.training | {"max_epochs": 1}), base, prepared, out, 1, 1e-9) == 4
    assert "4 of 4 cells are to do" in caplog.text, "other parameters, other results"

    write_report(results, "small", plan.false_positive_rates, out / "report")
    text = (out / "report" / "report.md").read_text()
    assert "## Black 5 %, at 5 % false positives" in text
    assert "| alpha 0.1 | 2 |" in text
    with (out / "report" / "cells.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 2 * 2, "a row a cell, split and threshold"
    assert (out / "report" / "plot.svg").read_text().count("<svg") == 1


def test_even_groups_are_drawn_alike_whatever_their_size(prepared: Path, base: Train) -> None:
    params = base.model_copy(update={"skew_group": "Black", "skew_keep": 0.2})
    data = EvenGroups().data(Inputs(prepared), params)
    race, weights = read_split(prepared, "train").race[data.faces], data._weights(0)
    shares = [weights[race == name].sum() for name in np.unique(race)]
    assert shares == pytest.approx([1 / len(shares)] * len(shares))


def counts(black: int, white: int, false_positives: int) -> dict[str, Any]:
    """Of 100 faces of either group and 1000 negatives."""
    half = {"Black Female": black // 2, "Black Male": black - black // 2, "White Female": 0, "White Male": white}
    of = {"Black Female": 50, "Black Male": 50, "White Female": 1, "White Male": 99}
    return {
        "found": half,
        "of": of,
        "false_positives": false_positives,
        "negatives": 1000,
        "hard_false_positive_rate": 0.1,
    }


def test_a_cell_s_figures_are_over_groups_of_perceived_race() -> None:
    found = point(counts(80, 90, 10))
    assert found.groups == {"Black": 80.0, "White": 90.0}
    assert found.variance == pytest.approx(25.0), "of 80 and 90, in squared points"
    assert (found.recall, found.worst, found.false_positives) == pytest.approx((85.0, 80.0, 1.0))
    assert found.precision == pytest.approx(100 * 170 / 180)
    draws = np.random.default_rng(0).binomial(100, 0.85, (20_000, 2)).astype(float)
    assert found.by_chance == pytest.approx(draws.var(axis=1).mean(), rel=0.05)


def test_arms_are_compared_on_the_same_seeds() -> None:
    standard = [point(counts(80 + seed, 90, 10)) for seed in (0, 2, 4)]
    halved = [point(counts(85 + seed // 2, 90, 12)) for seed in (0, 2, 4)]
    found = compared(halved, standard)
    assert found["variance_ratio"].mean == pytest.approx(0.25, rel=1e-6)
    assert found["precision"].mean < 0 < found["recall"].mean
    assert found["worst"].low < found["worst"].mean < found["worst"].high


def test_a_missing_seed_is_left_out_of_the_comparison_and_p_values_are_corrected() -> None:
    def result(arm: str, seed: int, black: int) -> dict[str, Any]:
        one = {"at": {"0.01": counts(black, 90, 10)}, "roc_auc": 0.99}
        return {"set": "s", "arm": arm, "seed": seed, "audit": one, "favoured": None, "train": {"skew_group": ""}}

    results = [result("standard", seed, 80 + seed) for seed in (1, 2, 3, 4)]
    results += [result("a", seed, 83 + seed) for seed in (1, 2, 4)]
    alone = summary(results, "audit", "0.01")["s"]
    assert alone["a"]["seeds"] == 3
    assert alone["a"]["compared"]["worst"].mean == pytest.approx(3.0)
    results += [result("b", seed, 80 + 2 * seed) for seed in (1, 2, 3, 4)]
    beside = summary(results, "audit", "0.01")["s"]
    assert beside["a"]["compared"]["variance_ratio"].p_value == pytest.approx(
        2 * alone["a"]["compared"]["variance_ratio"].p_value
    )

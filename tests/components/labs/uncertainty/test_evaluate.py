"""The exported bundle, measured and answered with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from components.bundle import Bundle
from components.config import Gate
from components.datasets.uci.reader import read_tables
from components.errors import UserError
from components.labs import EvaluateContext, Inputs
from components.labs.uncertainty import LAB
from components.labs.uncertainty.evaluation.evaluate import metrics_of
from components.labs.uncertainty.evaluation.sets import measure_set
from components.labs.uncertainty.evaluation.toy import measure_toy
from components.labs.uncertainty.runtime.predictor import Prediction, UncertaintyPredictor, percentiles
from components.params import load
from components.promotion import decide
from components.records import Evaluation, Verdict
from tests.components.labs.uncertainty.conftest import small_params
from tests.html_pages import loads

PROJECT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def predictor(uncertainty_bundle: Bundle) -> UncertaintyPredictor:
    return UncertaintyPredictor.load(uncertainty_bundle, names=["diabetes", "cubic_evidential", "cubic_gaussian"])


def test_a_bundle_is_measured_on_every_split(uncertainty_bundle: Bundle, prepared_tables: Path, tmp_path: Path) -> None:
    context = EvaluateContext(uncertainty_bundle, Inputs(prepared_tables), tmp_path, small_params().evaluate, {})
    found = LAB.evaluate(context)
    assert set(found.metrics) <= set(LAB.gate_metrics)
    assert found.counts["diabetes_rmse"] == read_tables(prepared_tables)["diabetes"].test.sum()
    assert all(np.isfinite(value) for value in found.metrics.values())
    details = json.loads((tmp_path / "measurements.json").read_text())
    assert details["sets"]["diabetes"]["splits"] == 20
    assert len(details["toy"]) == 6
    page = (tmp_path / "report.html").read_text()
    assert "Limitations" in page
    assert loads(page) == []


def test_a_splits_figures_are_of_its_own_test_rows(predictor: UncertaintyPredictor, prepared_tables: Path) -> None:
    table = read_tables(prepared_tables)["diabetes"]
    spoiled = np.where(table.test[0], table.target + 1000, table.target)
    before, after = (
        measure_set(predictor, "diabetes", table._replace(target=target), small_params().evaluate)
        for target in (table.target, spoiled)
    )
    assert after.rmse[0] > before.rmse[0] + 500
    others = [split for split in range(20) if not (table.test[0] & table.test[split]).any()]
    assert np.array_equal(before.rmse[others], after.rmse[others])


def test_the_ensembles_rmse_is_computed_from_its_mean(predictor: UncertaintyPredictor, prepared_tables: Path) -> None:
    table = read_tables(prepared_tables)["diabetes"]
    found = measure_set(predictor, "diabetes", table, small_params().evaluate)
    test = table.test[4]
    mean = predictor.predict("diabetes", table.features[test], 4, (0.5,)).mean
    assert found.rmse[4] == pytest.approx(np.sqrt(((mean - table.target[test]) ** 2).mean()), rel=1e-5)


def test_the_toy_measures_each_network_alone_and_all_together(predictor: UncertaintyPredictor) -> None:
    found = measure_toy(predictor, small_params().evaluate)
    standard = found.standard("evidential", predictor.spec["toy"])
    assert (standard.rows, standard.penalty, len(standard.claimed_auroc)) == (200, 0.01, 2)
    assert found.standard("gaussian", predictor.spec["toy"]).claimed_auroc == ()
    assert all(0 <= fit.spread_auroc <= 1 for fit in found.fits)


def test_an_answer_flags_what_lies_outside_and_abstains(predictor: UncertaintyPredictor, prepared_tables: Path) -> None:
    rows = read_tables(prepared_tables)["diabetes"].features[:2].copy()
    rows[1, 2] *= 1000  # the body mass index in grams per square metre
    found = predictor.answer("diabetes", rows)
    assert found.outside.sum(axis=1).tolist() == [0, 1]
    assert found.outside[1, 2]
    assert found.abstain[1]
    assert found.epistemic[1] > found.epistemic[0]
    assert (np.diff(found.high - found.low, axis=1) > 0).all()
    assert ((found.low < found.mean[:, None]) & (found.mean[:, None] < found.high))[0].all()


@pytest.mark.parametrize("rows", [np.zeros((1, 3)), np.zeros(10), np.full((1, 10), np.nan)])
def test_rows_of_another_shape_or_without_a_number_are_refused(
    predictor: UncertaintyPredictor, rows: np.ndarray
) -> None:
    with pytest.raises(UserError, match="rows of 10 finite numbers"):
        predictor.predict("diabetes", rows, 0, (0.5,))


def test_a_percentile_is_read_from_the_left_out_rows() -> None:
    table = np.linspace(0, 10, 101)
    assert percentiles(np.array([-1.0, 5.0, 99.0]), table).tolist() == [0.0, 50.0, 100.0]


class Stretched(UncertaintyPredictor):
    """The same model with intervals `by` times as wide."""

    by = 1.0

    def predict(self, name: str, features: np.ndarray, split: int, levels: Sequence[float]) -> Prediction:
        found = super().predict(name, features, split, levels)
        return found._replace(quantiles=found.mean[:, None] + self.by * (found.quantiles - found.mean[:, None]))


@pytest.mark.parametrize(
    ("by", "missed"), [(0.2, "least_sure_coverage_90"), (0.2, "least_coverage_90"), (20, "most_coverage_90")]
)
def test_a_model_that_is_wrong_and_sure_is_blocked_and_one_that_says_nothing_too(
    uncertainty_bundle: Bundle, prepared_tables: Path, by: float, missed: str
) -> None:
    small, names = small_params().evaluate, ["diabetes", "cubic_evidential", "cubic_gaussian"]
    predictor = Stretched.load(uncertainty_bundle, names=names)
    predictor.by = by
    found = measure_set(predictor, "diabetes", read_tables(prepared_tables)["diabetes"], small)
    metrics = metrics_of({"diabetes": found}, measure_toy(predictor, small), predictor.spec)
    asked = load(LAB, PROJECT / "params.yaml").gate
    bounds = {name: bound for name, bound in asked.metrics.items() if "cover" in name}
    report = uncertainty_bundle.report(Evaluation(metrics=metrics, counts=dict.fromkeys(metrics, 10**6)))
    decision = decide(report, None, Gate(metrics=bounds), date(2026, 1, 1))
    assert decision.verdict == Verdict.FAIL
    failed = [reason for reason in decision.reasons if reason.startswith(missed)]
    assert failed, decision.reasons

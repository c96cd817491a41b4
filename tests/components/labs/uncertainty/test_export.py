"""The graphs compute what the model does, and quantiles that are quantiles."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from components.bundle import Bundle
from components.datasets.uci.reader import read_tables
from components.errors import UserError
from components.labs.uncertainty.export.bundle import export
from components.labs.uncertainty.export.calibration import LeftOut, calibrate, extended, fit_scale
from components.labs.uncertainty.export.quantiles import normal_score
from components.labs.uncertainty.runtime.predictor import UncertaintyPredictor
from components.labs.uncertainty.training.model import UncertaintyModel
from components.labs.uncertainty.training.problems import read_problems
from tests.components.labs.uncertainty.conftest import exported, small_params

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)


@pytest.fixture(scope="module")
def predictor(uncertainty_bundle: Bundle) -> UncertaintyPredictor:
    return UncertaintyPredictor.load(uncertainty_bundle)


@pytest.fixture(scope="module")
def rows(prepared_tables: Path) -> np.ndarray:
    return read_tables(prepared_tables)["diabetes"].features


@pytest.mark.parametrize(("freedom", "most"), [(2.002, 3e-4), (3.0, 2e-5), (10.0, 1e-8), (1e3, 1e-10)])
def test_the_normal_score_has_the_probability_of_students_t(freedom: float, most: float) -> None:
    t = torch.linspace(-60, 60, 2001, dtype=torch.float64)
    ours = stats.norm.cdf(normal_score(t, torch.tensor(freedom, dtype=torch.float64)))
    assert np.abs(ours - stats.t.cdf(t, freedom)).max() < most


def test_the_quantiles_of_a_graph_are_those_of_its_mixture(predictor: UncertaintyPredictor, rows: np.ndarray) -> None:
    found = predictor.predict("diabetes", rows[:5], 3, LEVELS)
    for row in range(5):
        parts = (found.freedom[row], found.location[row], found.scale[row])
        for place, level in enumerate(LEVELS):
            assert stats.t.cdf(found.quantiles[row, place], *parts).mean() == pytest.approx(level, abs=1e-3)


def test_mean_noise_and_spread_are_those_of_the_mixture(predictor: UncertaintyPredictor, rows: np.ndarray) -> None:
    found = predictor.predict("diabetes", rows[:7], 0, LEVELS)
    assert np.allclose(found.mean, found.location.mean(axis=1), rtol=1e-5)
    assert np.allclose(found.epistemic, found.location.std(axis=1), rtol=1e-3)
    total = stats.t.var(found.freedom, found.location, found.scale)
    # Amini et al.: E[sigma^2] = beta / (alpha - 1) and Var[mu] add up to the variance of the Student-t.
    assert np.allclose(found.aleatoric**2, (total - found.claimed**2).mean(axis=1), rtol=1e-3)


def test_each_split_answers_with_its_own_networks(predictor: UncertaintyPredictor, rows: np.ndarray) -> None:
    first, second = (predictor.predict("diabetes", rows[:4], split, LEVELS) for split in (0, 1))
    assert not np.allclose(first.location, second.location)


def test_a_row_is_predicted_the_same_alone_and_among_others(predictor: UncertaintyPredictor, rows: np.ndarray) -> None:
    together = predictor.predict("diabetes", rows[:30], 0, LEVELS)
    alone = predictor.predict("diabetes", rows[17:18], 0, LEVELS[:1])
    assert together.mean[17] == pytest.approx(alone.mean[0], rel=1e-5)
    assert together.quantiles[17, 0] == pytest.approx(alone.quantiles[0, 0], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gaussian", "dropout"])
def test_other_methods_give_gaussian_mixtures(prepared_tables: Path, tmp_path: Path, method: str) -> None:
    bundle = exported(prepared_tables, tmp_path / method, method=method)
    table = read_tables(prepared_tables)["diabetes"]
    found = UncertaintyPredictor.load(bundle).predict("diabetes", table.features[:6], 0, LEVELS)
    assert found.location.shape[1] == (2 if method == "gaussian" else 2 * 3)
    assert (found.claimed == 0).all()
    # Through each quantile runs as much of the mixture as its level says.
    below = stats.norm.cdf(found.quantiles[0][:, None], found.location[0], found.scale[0]).mean(axis=1)
    assert np.allclose(below, LEVELS, atol=1e-3)
    again = UncertaintyPredictor.load(bundle).predict("diabetes", table.features[:6], 0, LEVELS)
    assert np.array_equal(found.location, again.location)


def test_parity_is_recorded_for_every_graph(uncertainty_bundle: Bundle) -> None:
    report = json.loads((uncertainty_bundle.folder / "parity.json").read_text())
    assert set(report) == {"diabetes", "cubic_evidential", "cubic_gaussian"}
    assert all(case["prediction"] < 1e-4 for cases in report.values() for case in cases)


def test_a_model_that_diverged_is_not_exported(
    prepared_tables: Path, evidential_model: UncertaintyModel, tmp_path: Path
) -> None:
    params = small_params()
    model = UncertaintyModel(read_problems(prepared_tables, params.train), params.train)
    model.load_state_dict(evidential_model.state_dict())
    with torch.no_grad():
        model.stack("diabetes").weights[0][0, 0, 0] = float("nan")
    with pytest.raises(UserError, match="not numbers"):
        export(model, prepared_tables, tmp_path, params.export)


def test_calibration_follows_the_noise_that_left_out_rows_show(
    prepared_tables: Path, evidential_model: UncertaintyModel
) -> None:
    problem = read_problems(prepared_tables, small_params().train)["cubic_gaussian"]
    stack = evidential_model.stack("cubic_gaussian")
    noise = np.random.default_rng(0).normal(0, 10 * problem.target.std(), len(problem.target))
    found = calibrate(stack, problem, [], (0.5, 0.9))
    louder = calibrate(stack, replace(problem, target=problem.target + noise), [], (0.5, 0.9))
    assert (louder.scale > 5 * found.scale).all()
    assert (found.conformal[:, 0] < found.conformal[:, 1]).all()
    spreads = [each.spread_percentiles / each.scale[:, None] for each in (found, louder)]
    assert np.allclose(*spreads), "members disagree as before"


def test_a_value_whose_logarithm_is_linear_in_the_share_of_a_member_is_extended_exactly() -> None:
    sizes = np.arange(1, 4)
    values = np.exp(np.stack([0.5 + 2 / sizes, 3 - 1 / sizes], axis=1))
    assert extended(values, 10) == pytest.approx(np.exp([0.7, 2.9]))
    assert extended(values[:1], 10) == pytest.approx(values[0])


def test_members_that_are_much_too_sure_do_not_make_the_ensemble_narrower_than_it_can_be() -> None:
    """Concrete's widths for one member and for two: their squares would be extended below zero."""
    found = float(extended(np.array([2.73, 1.86]), 10))
    assert 1.2 < found < 1.86


def test_pairs_of_left_out_members_say_what_scale_the_whole_ensemble_needs() -> None:
    draw = np.random.default_rng(0)
    rows, members, noise, wobble = 4000, 10, 1.0, 0.4
    location = draw.normal(0, wobble, (rows, members, 1))
    ones = np.ones_like(location)
    whole = LeftOut(draw.normal(0, noise, rows), location, ones, 1e6 * ones, 0 * ones, np.zeros(rows))
    two = {key: getattr(whole, key)[:, :2] for key in ("location", "scale", "freedom", "claimed")}
    pairs = whole._replace(**two)
    fitted = np.array([fit_scale(pairs.ensembles(size)) for size in (1, 2)])
    wanted = fit_scale(whole)
    assert abs(extended(fitted, members) - wanted) < abs(fitted[1] - wanted) / 3

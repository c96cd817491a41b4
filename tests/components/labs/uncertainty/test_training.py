"""Many networks train as one stack, each as if it were alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from components.datasets.uci.reader import Table, read_tables
from components.errors import UserError
from components.labs.uncertainty.training.batches import Rows, UncertaintyData
from components.labs.uncertainty.training.heads import components, loss
from components.labs.uncertainty.training.problems import problem_of, read_problems, toy_fits
from components.labs.uncertainty.training.stack import Stack, fixed_masks
from tests.components.labs.uncertainty.conftest import fitted, small_params


def test_the_evidential_loss_is_the_likelihood_of_a_students_t() -> None:
    raw = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.linspace(-3, 3, 50, dtype=torch.float64)
    found = components(raw, "evidential", min_alpha=1.0)
    ours = loss(raw, target, "evidential", penalty=0.0, min_alpha=1.0, scale_weight=0.0)
    theirs = -stats.t.logpdf(target, found.freedom, found.location, found.scale)
    assert np.allclose(ours, theirs, atol=1e-9)


def test_the_evidence_regulariser_grows_with_error_and_evidence() -> None:
    raw = torch.tensor([[0.0, 1.0, 1.0, 1.0], [0.0, 3.0, 3.0, 1.0]])
    target = torch.full((2,), 2.0)
    plain, regularised = (loss(raw, target, "evidential", penalty, 1.0, 0.0) for penalty in (0.0, 1.0))
    added = regularised - plain
    assert added[1] > added[0] > 0
    at_the_mean = [loss(raw, torch.zeros(2), "evidential", penalty, 1.0, 0.0) for penalty in (0.0, 1.0)]
    assert torch.equal(*at_the_mean)


def test_the_gaussian_loss_is_a_gaussians_likelihood() -> None:
    raw = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.linspace(-3, 3, 50, dtype=torch.float64)
    found = components(raw, "gaussian", min_alpha=1.0)
    theirs = -stats.norm.logpdf(target, found.location, found.scale)
    assert np.allclose(loss(raw, target, "gaussian", 0.0, 1.0, 0.0), theirs, atol=1e-9)


def test_every_training_row_is_left_out_by_as_many_members_as_there_are_repeats(prepared_tables: Path) -> None:
    table, params = read_tables(prepared_tables)["diabetes"], small_params(folds=3).train
    recipe = params.sets["diabetes"].model_copy(update={"repeats": 2})
    problem = problem_of(table, recipe, params)
    assert problem.members == 6
    for split, test in enumerate(table.test):
        networks = range(split * 6, split * 6 + 6)
        counts = np.zeros(len(test), int)
        for network in networks:
            counts[problem.left_out[network]] += 1
            assert not set(problem.train[network]) & set(problem.left_out[network])
            assert not test[problem.train[network]].any()
        assert (counts[~test] == 2).all()
        assert (counts[test] == 0).all()


def test_copies_of_a_row_are_left_out_together() -> None:
    draw = np.random.default_rng(0)
    features = np.repeat(draw.normal(size=(20, 3)), 4, axis=0)
    table = Table(("a", "b", "c"), features, draw.normal(size=80), np.zeros((1, 80), bool), np.zeros((1, 80), bool))
    params = small_params(folds=5).train
    problem = problem_of(table, params.sets["diabetes"], params)
    for rows in problem.left_out:
        assert set(np.unique(rows // 4, return_counts=True)[1]) == {4}


def test_test_rows_decide_nothing_that_standardises(prepared_tables: Path) -> None:
    table, params = read_tables(prepared_tables)["diabetes"], small_params().train
    spoiled = np.where(table.test[0][:, None], 1e6, table.features)
    before, after = (
        problem_of(table._replace(features=features), params.sets["diabetes"], params)
        for features in (table.features, spoiled)
    )
    assert np.array_equal(before.standards.center[0], after.standards.center[0])
    assert not np.array_equal(before.standards.center[1], after.standards.center[1])


def test_a_networks_weights_depend_on_no_other_networks_rows(prepared_tables: Path) -> None:
    params = small_params().train
    problem = read_problems(prepared_tables, params)["diabetes"]
    features, target = Rows(problem).drawn(16, torch.Generator().manual_seed(0))
    moved = []
    for other in (target, target.clone().index_fill_(0, torch.arange(1, len(target)), 1e4)):
        torch.manual_seed(0)
        stack = Stack(problem, params)
        optimizer = torch.optim.AdamW(stack.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            stack.loss(features, other).sum().backward()
            stack.clip(0.5)
            optimizer.step()
        moved.append(stack.weights[0].detach().clone())
    assert torch.equal(moved[0][0], moved[1][0])
    assert not torch.equal(moved[0][1], moved[1][1])


def test_batches_depend_on_seed_and_epoch_only(prepared_tables: Path) -> None:
    params = small_params().train
    data = UncertaintyData(read_problems(prepared_tables, params), params)
    first, again, later = data.epoch(1)[3], data.epoch(1)[3], data.epoch(0)[3]
    assert torch.equal(first.features, again.features)
    assert not torch.equal(first.features, later.features)
    assert [len(data.epoch(epoch)) for epoch in (0, 1)] == [230, 230]


@pytest.mark.parametrize("method", ["evidential", "gaussian", "dropout"])
def test_training_makes_left_out_rows_likelier(prepared_tables: Path, method: str) -> None:
    params = small_params(method=method).train
    model = fitted(prepared_tables, params)
    untrained = fitted(prepared_tables, params, limit_train_batches=0)
    batch = UncertaintyData(read_problems(prepared_tables, params), params).validation_batches()[0]
    with torch.no_grad():
        better, worse = (
            loss(each.stack("diabetes")(batch.features), batch.target, method, 0.0, 1.5, 0.0).mean()
            for each in (model, untrained)
        )
    assert better < worse - 0.1


def test_a_set_without_a_recipe_is_named(prepared_tables: Path) -> None:
    params = small_params(sets={"yacht": small_params().train.sets["diabetes"].model_dump()}).train
    with pytest.raises(UserError, match=r"uncertainty\.train\.sets has no recipe for the set 'diabetes'"):
        read_problems(prepared_tables, params)


def test_dropout_masks_keep_the_mean_and_are_the_same_each_time() -> None:
    recipe = small_params().train.sets["diabetes"].model_copy(update={"hidden_sizes": (400,)})
    (mask,), (again,) = (fixed_masks(recipe, 0.2, 50, seed=3) for _ in range(2))
    assert torch.equal(mask, again)
    assert set(mask.unique().tolist()) == {0.0, 1.25}
    assert mask.mean().item() == pytest.approx(1, abs=0.02)


def test_the_sweeps_hold_each_setting_once() -> None:
    toy = small_params().train.toy
    assert [tuple(fit) for fit in toy_fits(toy, "evidential")] == [(50, 0.01), (200, 0.01), (200, 0.0), (200, 0.1)]
    assert [tuple(fit) for fit in toy_fits(toy, "gaussian")] == [(50, 0.0), (200, 0.0)]

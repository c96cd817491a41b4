"""What a stack learns: which rows each of its networks trains on, which it leaves out, and what standardises them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.datasets.uci.reader import Table, groups, read_tables
from components.errors import UserError
from components.labs.uncertainty.params import Recipe, Toy, Train

TOY_HELD_OUT = 500
"""Rows of the cubic that nobody trains on: they judge an epoch."""
SMALLEST_SPREAD = 1e-12


class Standards(NamedTuple):
    """Standardisation by each split's training rows. center, spread: (S, d). target_center, target_spread: (S,)."""

    center: np.ndarray
    spread: np.ndarray
    target_center: np.ndarray
    target_spread: np.ndarray


@dataclass(frozen=True)
class Problem:
    """features (N, d) and target (N,) in their own units; `train` and `left_out`: row numbers of every network.

    Network k = split k // members, member k % members. penalty: (S M,), of the evidence regulariser.
    """

    features: np.ndarray
    target: np.ndarray
    train: Sequence[np.ndarray]
    left_out: Sequence[np.ndarray]
    members: int
    method: str
    recipe: Recipe
    penalty: np.ndarray
    min_alpha: float
    standards: Standards


def read_problems(prepared: Path, params: Train) -> dict[str, Problem]:
    """A problem for each prepared set and the toy's two. Raises UserError for a set that has no recipe."""
    tables = read_tables(prepared)
    for name in tables:
        if name not in params.sets:
            raise UserError(f"uncertainty.train.sets has no recipe for the set '{name}' of the prepared data")
    problems = {name: problem_of(table, params.sets[name], params) for name, table in tables.items()}
    return problems | toy_problems(params.toy, params)


def problem_of(table: Table, recipe: Recipe, params: Train) -> Problem:
    """Every split of a set, with folds x repeats members each: member k leaves out fold k % folds of repeat k // folds.

    Each repeat has folds of its own, so that members which leave out the same row differ as much as any two.
    """
    members = params.folds * recipe.repeats
    same = groups(table.features)
    train, left_out = [], []
    for split, test in enumerate(table.test):
        for repeat in range(recipe.repeats):
            fold = folds_of(same, params, split, repeat)
            train += [np.flatnonzero(~test & (fold != out)) for out in range(params.folds)]
            left_out += [np.flatnonzero(~test & (fold == out)) for out in range(params.folds)]
    return Problem(
        features=table.features,
        target=table.target,
        train=train,
        left_out=left_out,
        members=members,
        method=params.method,
        recipe=recipe,
        penalty=np.full(len(train), params.penalty),
        min_alpha=params.min_alpha,
        standards=standards(table.features, table.target, [np.flatnonzero(~test) for test in table.test]),
    )


def folds_of(same: np.ndarray, params: Train, split: int, repeat: int) -> np.ndarray:
    """(N,) fold of every row. same: (N,) number of each row's group: a copy is not held out from its original."""
    order = np.random.default_rng((params.seed, split, repeat)).permutation(same.max() + 1)
    found: np.ndarray = order[same] % params.folds
    return found


def standards(features: np.ndarray, target: np.ndarray, rows: Sequence[np.ndarray]) -> Standards:
    """Mean and standard deviation of each split's rows; a column that does not vary in them keeps its unit."""

    def spread(values: np.ndarray) -> np.ndarray:
        found: np.ndarray = values.std(axis=0)
        return np.where(found > SMALLEST_SPREAD, found, 1.0)

    return Standards(
        np.stack([features[some].mean(axis=0) for some in rows]),
        np.stack([spread(features[some]) for some in rows]),
        np.stack([target[some].mean() for some in rows]),
        np.stack([spread(target[some]) for some in rows]),
    )


class ToyFit(NamedTuple):
    """One setting of the cubic: training rows, and the weight of the evidence regulariser."""

    rows: int
    penalty: float


def toy_fits(toy: Toy, method: str) -> list[ToyFit]:
    """The settings that are the splits of a toy's stack, in order. Gaussians have no evidence to regularise."""
    by_rows = [ToyFit(rows, toy.standard_penalty if method == "evidential" else 0.0) for rows in toy.rows]
    by_penalty = [ToyFit(toy.standard_rows, penalty) for penalty in toy.penalties] if method == "evidential" else []
    return list(dict.fromkeys([*by_rows, *by_penalty]))


def toy_problems(toy: Toy, params: Train) -> dict[str, Problem]:
    """cubic_evidential and cubic_gaussian: the same rows, in both, for the same N."""
    draw = np.random.default_rng(params.seed)
    total = max(*toy.rows, toy.standard_rows) + TOY_HELD_OUT
    features = draw.uniform(-toy.inside, toy.inside, (total, 1))
    target = features[:, 0] ** 3 + draw.normal(0, toy.noise, total)
    found = {}
    for method in ("evidential", "gaussian"):
        fits = toy_fits(toy, method)
        rows = [np.arange(TOY_HELD_OUT, TOY_HELD_OUT + fit.rows) for fit in fits]
        found[f"cubic_{method}"] = Problem(
            features=features,
            target=target,
            train=[some for some in rows for _ in range(toy.seeds)],
            left_out=[np.arange(TOY_HELD_OUT)] * (len(fits) * toy.seeds),
            members=toy.seeds,
            method=method,
            recipe=toy.recipe,
            penalty=np.repeat([fit.penalty for fit in fits], toy.seeds),
            min_alpha=1.0,  # the paper's
            standards=standards(features, target, rows),
        )
    return found

"""Writes the graphs of all sets, checks that they compute what the model does, and says how they are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.bundle import BundleSpec
from components.datasets.uci.columns import SETS
from components.datasets.uci.reader import Table, read_tables
from components.files import write_json
from components.labs.uncertainty.export.calibration import Calibrated, calibrate
from components.labs.uncertainty.export.graph import OUTPUTS, Predictor, write_graph
from components.labs.uncertainty.params import Export, Train
from components.labs.uncertainty.training.model import UncertaintyModel
from components.labs.uncertainty.training.problems import Problem, read_problems, toy_fits
from components.labs.uncertainty.training.stack import Stack, fixed_masks
from components.onnx.parity import Case, check_parity, compare
from components.training.finite import check_finite

PARITY_BATCHES = (1, 2, 7, 64)
"""Batch sizes the graphs are compared at; the export itself sees another."""
PARITY_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def export(model: UncertaintyModel, prepared: Path, out: Path, params: Export) -> BundleSpec:
    """Writes <set>.onnx of every set and of the toy's two stacks, and parity.json.

    Raises UserError where a weight is no number, or a graph differs from the model by more than the tolerance.
    """
    check_finite(model)
    tables, problems = read_tables(prepared), read_problems(prepared, model.params)
    sets: dict[str, Any] = {}
    report: dict[str, list[Case]] = {}
    for name, problem in problems.items():
        stack = model.stack(name).eval()
        masks = _masks(stack, model.params)
        splits = len(problem.train) // problem.members
        found = calibrate(stack, problem, masks, params.intervals) if name in tables else None
        scale = torch.from_numpy(found.scale) if found else torch.ones(splits)
        report[name] = _write(Predictor(stack, scale, masks).eval(), problem, out / f"{name}.onnx")
        if found:
            sets[name] = {"members": problem.members, **described(name, tables[name], found, params)}
    check_parity(report, params.parity_tolerance)
    write_json(out / "parity.json", report)
    spec = {
        "variants": ["float"],
        "method": model.params.method,
        "intervals": list(params.intervals),
        "abstain_percentile": params.abstain_percentile,
        "sets": sets,
        "toy": toy_spec(model.params),
    }
    return BundleSpec(graphs={name: out / f"{name}.onnx" for name in problems}, spec=spec)


def _masks(stack: Stack, params: Train) -> list[Tensor]:
    """Empty where the method drops nothing."""
    if not stack.dropout_rate:
        return []
    return fixed_masks(stack.recipe, stack.dropout_rate, params.dropout_masks, params.seed)


def _write(predictor: Predictor, problem: Problem, path: Path) -> list[Case]:
    """One set's graph, and how far it is from the model."""
    write_graph(predictor, path)
    splits = len(problem.train) // problem.members
    cases = [example(problem, batch, 7 * index % splits) for index, batch in enumerate(PARITY_BATCHES)]
    # A Gaussian claims zero: there is no share of it.
    relative = {*OUTPUTS, "quantiles"} - ({"claimed"} if predictor.quantiles.gaussian else set())
    return compare(path, predictor, cases, relative)


def example(problem: Problem, rows: int, split: int) -> dict[str, np.ndarray]:
    """Inputs of a graph: real rows."""
    return {
        "features": problem.features[np.arange(rows) % len(problem.features)].astype(np.float32),
        "split": np.array([split]),
        "levels": np.array(PARITY_LEVELS, np.float32),
    }


def described(name: str, table: Table, found: Calibrated, params: Export) -> dict[str, Any]:
    """What the runtime knows of a set: columns, training ranges, and what calibration found."""
    split = min(params.served_split, len(table.test) - 1)
    trained = table.features[~table.test[split]]
    units = {column.name: column.unit for column in SETS[name].features}
    return {
        "title": SETS[name].title,
        "splits": len(table.test),
        "served_split": split,
        "target": SETS[name].target._asdict(),
        "features": [
            {"name": column, "unit": units[column], "min": float(low), "max": float(high), "median": float(middle)}
            for column, low, high, middle in zip(
                table.names, trained.min(axis=0), trained.max(axis=0), np.median(trained, axis=0), strict=True
            )
        ],
        "conformal": found.conformal.tolist(),
        "calibration": found.scale.tolist(),
        "single_calibration": found.single.tolist(),
        "spread_percentiles": found.spread_percentiles[split].tolist(),
    }


def toy_spec(params: Train) -> dict[str, Any]:
    """The settings of the toy's fits, in the order of the splits of its graphs."""
    return {
        "noise": params.toy.noise,
        "inside": params.toy.inside,
        "standard_rows": params.toy.standard_rows,
        "standard_penalty": params.toy.standard_penalty,
        "seed": params.seed,
        **{method: [fit._asdict() for fit in toy_fits(params.toy, method)] for method in ("evidential", "gaussian")},
    }

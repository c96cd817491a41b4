"""Writes the graphs of all sets, checks that they compute what the model does, and says how they are used."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from components.bundle import BundleSpec
from components.datasets.uci.columns import SETS
from components.datasets.uci.reader import Table, read_tables
from components.errors import UserError
from components.files import write_json
from components.labs.uncertainty.export.calibration import Calibrated, calibrate
from components.labs.uncertainty.export.graph import Predictor
from components.labs.uncertainty.params import Export, Train
from components.labs.uncertainty.runtime import OUTPUTS
from components.labs.uncertainty.training.model import UncertaintyModel
from components.labs.uncertainty.training.problems import Problem, read_problems, toy_fits
from components.labs.uncertainty.training.stack import fixed_masks

PARITY_BATCHES = (1, 2, 7, 64)
"""Batch sizes the graphs are compared at; the export itself sees another."""
PARITY_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def export(model: UncertaintyModel, prepared: Path, out: Path, params: Export) -> BundleSpec:
    """Writes <set>.onnx of every set and of the toy's two stacks, and parity.json.

    Raises UserError where a weight is no number, or a graph differs from the model by more than the tolerance.
    """
    if not all(weight.isfinite().all() for weight in model.state_dict().values()):
        raise UserError("the model has weights that are not numbers: training diverged; lower its learning rate")
    tables, problems = read_tables(prepared), read_problems(prepared, model.params)
    sets: dict[str, Any] = {}
    report: dict[str, Any] = {}
    for name, problem in problems.items():
        stack = model.stack(name).eval()
        masks = (
            fixed_masks(stack.recipe, stack.dropout_rate, model.params.dropout_masks, model.params.seed)
            if stack.dropout_rate
            else []
        )
        splits = len(problem.train) // problem.members
        found = calibrate(stack, problem, masks, params.intervals) if name in tables else None
        scale = torch.from_numpy(found.scale) if found else torch.ones(splits)
        predictor = Predictor(stack, scale, masks).eval()
        write_graph(predictor, problem.features.shape[1], out / f"{name}.onnx")
        report[name] = parity(predictor, problem, splits, out / f"{name}.onnx")
        _check(name, report[name], params.parity_tolerance)
        if found:
            sets[name] = {"members": problem.members, **described(name, tables[name], found, params)}
    write_json(out / "parity.json", report)
    spec = {
        "method": model.params.method,
        "intervals": list(params.intervals),
        "abstain_percentile": params.abstain_percentile,
        "sets": sets,
        "toy": toy_spec(model.params),
    }
    return BundleSpec(graphs={name: out / f"{name}.onnx" for name in problems}, spec=spec)


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


def write_graph(predictor: Predictor, features: int, path: Path) -> None:
    """One file, any batch size and any number of levels."""
    for talker in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(talker).setLevel(logging.ERROR)
    example = (torch.zeros(3, features), torch.tensor(0), torch.tensor([0.1, 0.5, 0.6, 0.8, 0.9]))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's exporter about torch's own deprecations
        torch.onnx.export(
            predictor,
            example,
            path,
            input_names=["features", "split", "levels"],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: torch.export.Dim.AUTO}, None, {0: torch.export.Dim.AUTO}),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        for place, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_param:
                size.dim_param = "levels" if value.name in ("levels", "quantiles") and place == len(
                    value.type.tensor_type.shape.dim
                ) - 1 else "batch"
    onnx.save(model, path)


def parity(predictor: Predictor, problem: Problem, splits: int, graph: Path) -> list[dict[str, Any]]:
    """Largest difference of each output between model and graph, in standard deviations of the target."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    levels = np.array(PARITY_LEVELS, np.float32)
    report = []
    for index, batch in enumerate(PARITY_BATCHES):
        split = (index * 7) % splits
        features = problem.features[np.arange(batch) % len(problem.features)].astype(np.float32)
        given = session.run(
            list(OUTPUTS), {"features": features, "split": np.array(split), "levels": levels}
        )
        with torch.inference_mode():
            wanted = predictor(torch.from_numpy(features), torch.tensor(split), torch.from_numpy(levels))
        unit = float(problem.standards.target_spread[split])
        differences: Mapping[str, float] = {
            name: float(np.abs(ours - theirs.numpy()).max()) / (1.0 if name == "freedom" else unit)
            for name, ours, theirs in zip(OUTPUTS, given, wanted, strict=True)
        }
        report.append({"batch": batch, "split": split, **differences})
    return report


def _check(name: str, report: list[dict[str, Any]], tolerance: float) -> None:
    for case in report:
        for output in ("prediction", "aleatoric", "epistemic", "quantiles", "location"):
            if not case[output] <= tolerance:
                raise UserError(
                    f"the graph of {name} differs from the model by {case[output]:.2g} standard deviations in its "
                    f"{output} (batch {case['batch']}; allowed {tolerance:g}): it is not exported"
                )

"""Measures an exported bundle: eight sets over all their splits, and the cubic."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.bundle import Bundle
from components.datasets.uci.reader import Table, read_tables
from components.errors import UserError
from components.files import write_json
from components.labs.uncertainty.evaluation.published import PUBLISHED, better_than
from components.labs.uncertainty.evaluation.report import Findings, write_report
from components.labs.uncertainty.evaluation.sets import SUREST, SetFindings, measure_set
from components.labs.uncertainty.evaluation.toy import ToyFindings, measure_toy
from components.labs.uncertainty.params import SET_METRICS, Evaluate
from components.labs.uncertainty.runtime.predictor import UncertaintyPredictor
from components.records import Evaluation
from components.report.csv_table import write_csv

log = logging.getLogger(__name__)

COVERAGE = 0.9
"""The interval that gates look at."""
VARIANT = "float"
"""The only kind of graph there is: networks this small gain nothing from int8."""
TOYS = ("cubic_evidential", "cubic_gaussian")


def evaluate(bundle: Bundle, prepared: Path, out: Path, params: Evaluate) -> Evaluation:
    """Measures every set of the bundle; writes report.html, measurements.json and plots/*.csv into `out`.

    Raises UserError where a set of the bundle was not prepared, or the interval that the gate looks at is not served.
    """
    if COVERAGE not in bundle.spec["intervals"]:
        raise UserError(f"uncertainty.export.intervals must hold {COVERAGE}, which the gate looks at")
    tables = read_tables(prepared)
    predictor = UncertaintyPredictor.load(bundle, names=[*bundle.spec["sets"], *TOYS])
    sets: dict[str, SetFindings] = {}
    for name in bundle.spec["sets"]:
        if name not in tables:
            raise UserError(f"the bundle predicts {name}, and the prepared data has no such set: run prepare again")
        log.info("measuring %s on %d test rows", name, tables[name].test.sum())
        sets[name] = measure_set(predictor, name, tables[name], params)
    toy = measure_toy(predictor, params)
    metrics = metrics_of(sets, toy, bundle.spec)
    details = details_of(sets, toy, bundle.spec)
    limitations = tuple(limitations_of(sets, toy, bundle.spec, tables.get("wine")))
    write_json(out / "measurements.json", details)
    _write_tables(out / "plots", sets, bundle.spec["intervals"])
    write_report(out, bundle.manifest, Findings(sets, toy, metrics, limitations))
    return Evaluation(
        metrics=metrics,
        counts={name: _count(name, sets, params) for name in metrics},
        serve={"variant": VARIANT},
        limitations=limitations,
    )


def metrics_of(sets: Mapping[str, SetFindings], toy: ToyFindings, spec: Mapping[str, Any]) -> dict[str, float]:
    """By the names that gates use. A set's figure is the mean over its splits, as in the published tables."""
    place = spec["intervals"].index(COVERAGE)
    metrics: dict[str, float] = {}
    for name, found in sets.items():
        values = {
            "rmse": found.rmse,
            "nll": found.nll,
            "crps": found.crps,
            "calibration_error": found.calibration_error,
            "coverage_90": found.coverage[:, place],
            "sure_coverage_90": found.sure_coverage[:, place],
        }
        metrics |= {f"{name}_{metric}": float(values[metric].mean()) for metric in SET_METRICS}
    by_metric = {metric: [metrics[f"{name}_{metric}"] for name in sets] for metric in SET_METRICS}
    method = "evidential" if spec["method"] == "evidential" else "gaussian"
    return metrics | {
        "mean_calibration_error": float(np.mean(by_metric["calibration_error"])),
        "coverage_90": float(np.mean(by_metric["coverage_90"])),
        "least_coverage_90": min(by_metric["coverage_90"]),
        "most_coverage_90": max(by_metric["coverage_90"]),
        "least_sure_coverage_90": min(by_metric["sure_coverage_90"]),
        "ood_auroc": toy.standard(method, spec["toy"]).spread_auroc,
    }


def details_of(sets: Mapping[str, SetFindings], toy: ToyFindings, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Everything else that was measured (JSON-able): per set, with standard errors over splits, and per fit."""
    found: dict[str, Any] = {}
    for name, measured in sets.items():
        splits = len(measured.rmse)
        found[name] = {
            "splits": splits,
            "tested": measured.tested,
            **{
                key: {"mean": float(values.mean()), "standard_error": float(values.std() / np.sqrt(splits))}
                for key in ("rmse", "nll", "crps", "calibration_error", "single_rmse", "single_nll", "noise", "spread")
                if (values := getattr(measured, key)) is not None
            },
            "fresh_rmse": float(np.nanmean(measured.fresh_rmse)),
            "pooled_calibration_error": measured.pooled_calibration_error,
            "ensemble_gain_rmse": measured.ensemble_gain_rmse._asdict(),
            "ensemble_gain_nll": measured.ensemble_gain_nll._asdict(),
            "intervals": [
                {
                    "wanted": interval,
                    **{
                        key: float(getattr(measured, key)[:, place].mean())
                        for key in ("coverage", "width", "conformal_coverage", "conformal_width")
                    },
                }
                for place, interval in enumerate(spec["intervals"])
            ],
            "published": {row: values._asdict() for row, values in PUBLISHED.get(name, {}).items()},
        }
    return {"sets": found, "toy": [fit._asdict() for fit in toy.fits]}


def limitations_of(
    sets: Mapping[str, SetFindings], toy: ToyFindings, spec: Mapping[str, Any], wine: Table | None
) -> list[str]:
    """Sentences, with the measured values that say so, for those who use the model."""
    place = spec["intervals"].index(COVERAGE)
    sentences = []
    lost = [
        f"{name} {metric.upper()} {value:.3g} ({', '.join(rows)})"
        for name, found in sets.items()
        for metric in ("rmse", "nll")
        if (rows := better_than(name, metric, value := float(getattr(found, metric).mean())))
    ]
    if lost:
        sentences.append(f"Published figures are better on: {'; '.join(lost)}.")
    covered = {name: float(found.coverage[:, place].mean()) for name, found in sets.items()}
    worst = max(covered, key=lambda name: abs(covered[name] - COVERAGE))
    sentences.append(f"Its intervals of {COVERAGE:.0%} cover {covered[worst]:.1%} of the test rows of {worst}.")
    surest = {name: float(found.sure_coverage[:, place].mean()) for name, found in sets.items()}
    worst = min(surest, key=lambda name: surest[name])
    sentences.append(
        f"Where it is surest, on the {SUREST:.0%} of {worst}'s rows with the narrowest intervals, they cover "
        f"{surest[worst]:.1%}."
    )
    if wine is not None:
        sentences.append(
            f"{wine.copies.sum() / wine.test.sum():.0%} of wine's test rows are copies of training rows: without them "
            f"its RMSE is {np.nanmean(sets['wine'].fresh_rmse):.3f}, not {sets['wine'].rmse.mean():.3f}."
        )
    evidential = toy.standard("evidential", spec["toy"])
    sentences.append(
        "What an evidential network claims not to know is no such thing: on the cubic its AUROC of outside against "
        f"inside is {', '.join(f'{value:.2f}' for value in evidential.claimed_auroc)} over "
        f"{len(evidential.claimed_auroc)} seeds. The epistemic estimate served here is the spread of the members."
    )
    sentences.append("Outside the range of its training rows no interval is calibrated: it ranks, and does not cover.")
    return sentences


def _write_tables(folder: Path, sets: Mapping[str, SetFindings], intervals: Sequence[float]) -> None:
    """The numbers of the plots, as CSV."""
    levels = next(iter(sets.values())).levels
    shares = np.mean([found.shares.mean(axis=0) for found in sets.values()], axis=0)
    write_csv(folder / "calibration.csv", {"quantile": levels.round(6).tolist(), "share": shares.round(6).tolist()})
    place = intervals.index(COVERAGE)
    kinds = {"own": "coverage", "conformal": "conformal_coverage", "where it is surest": "sure_coverage"}
    rows = [
        (f"{name}, {kind}", float(getattr(found, key)[:, place].mean()))
        for name, found in sets.items()
        for kind, key in kinds.items()
    ]
    write_csv(folder / "coverage.csv", {"interval": [row[0] for row in rows], "coverage": [row[1] for row in rows]})


def _count(metric: str, sets: Mapping[str, SetFindings], params: Evaluate) -> int:
    """Test predictions that a metric was measured over, or points of the cubic."""
    if metric == "ood_auroc":
        return params.toy_points
    of_set = [found.tested for name, found in sets.items() if metric.startswith(f"{name}_")]
    return sum(of_set) if of_set else sum(found.tested for found in sets.values())

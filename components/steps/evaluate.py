"""Measure a lab's exported bundle and say which model was measured."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path

from components.bundle import Bundle
from components.config import LabParams
from components.errors import UserError
from components.files import output_folder, write_json
from components.labs import EvaluateContext, Inputs, Lab
from components.records import EvaluationReport

log = logging.getLogger(__name__)


def evaluate(
    lab: Lab,
    params: LabParams,
    inputs: Inputs,
    bundle: Path,
    out: Path,
    reference_models: Mapping[str, Path] | None = None,
) -> EvaluationReport:
    """Measures the verified bundle; writes evaluation.json, metrics.json, details.json and the lab's own reports.

    metrics.json holds the lab's headline metrics, details.json all of them.

    reference_models: folders of the bundles of other labs that this one is measured with.
    Raises BundleError for a bundle that must not be used or is another lab's, UserError for a metric that is no number
    and for a reference model that is not there, or was made from the data of another profile.
    """
    opened = Bundle.open(bundle, lab.name)
    measured_with = {name: _reference(lab, name, (reference_models or {}).get(name)) for name in lab.reference_models}
    for name, reference in measured_with.items():
        ours, theirs = (bundle.manifest.provenance.data_profile for bundle in (opened, reference))
        if theirs != ours:
            raise UserError(
                f"{lab.name} was made from the {ours} data, and the bundle of {name} in {reference.folder}, which it "
                f"is measured with, from the {theirs} data: run `make repro LAB={name}` first"
            )
    with output_folder(out) as temporary:
        context = EvaluateContext(opened, inputs, temporary, params.evaluate, measured_with)
        report = opened.report(lab.evaluate(context), measured_with)
        for name, value in report.metrics.items():
            if not math.isfinite(value):
                raise UserError(
                    f"{lab.name}: the metric {name} is {value}: the model is broken, look at its training curve"
                )
        write_json(temporary / "evaluation.json", report.model_dump(mode="json"))
        shown = headline(lab, report.metrics)
        write_json(temporary / "metrics.json", shown)
        write_json(temporary / "details.json", report.metrics)
    log.info(
        "%s: %s", lab.name, ", ".join(f"{name} {value:.4g}" for name, value in headline(lab, report.metrics).items())
    )
    return report


def headline(lab: Lab, metrics: Mapping[str, float]) -> dict[str, float]:
    """The few metrics of a step's that people look at first, in the lab's order."""
    return {name: metrics[name] for name in lab.headline if name in metrics}


def _reference(lab: Lab, name: str, folder: Path | None) -> Bundle:
    if folder is None or not folder.is_dir():
        raise UserError(
            f"{lab.name} is measured with the bundle of the lab {name}, which is not there"
            f"{f' ({folder})' if folder else ''}: run `make repro LAB={name}` first"
        )
    return Bundle.open(folder, name)

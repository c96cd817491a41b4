"""Measure a lab's exported bundle and say which model was measured."""

from __future__ import annotations

import logging
import math
from pathlib import Path

from components.bundle import Bundle, BundleError, EvaluationReport
from components.errors import UserError
from components.files import output_folder, write_json
from components.labs import Lab
from components.params import LabParams

log = logging.getLogger(__name__)


def evaluate(lab: Lab, params: LabParams, prepared: Path, bundle: Path, out: Path) -> EvaluationReport:
    """Measures the verified bundle; writes evaluation.json, metrics.json and the lab's own reports into `out`.

    Raises BundleError for a bundle that must not be used or is another lab's, UserError for a metric that is no number.
    """
    opened = Bundle.open(bundle)
    if opened.manifest.lab != lab.name:
        raise BundleError(f"{bundle} is a bundle of the lab {opened.manifest.lab}, not of {lab.name}")
    with output_folder(out) as temporary:
        report = EvaluationReport.of(opened, lab.evaluate(opened, prepared, temporary, params.evaluate))
        for name, value in report.metrics.items():
            if not math.isfinite(value):
                raise UserError(
                    f"{lab.name}: the metric {name} is {value}: the model is broken, look at its training curve"
                )
        write_json(temporary / "evaluation.json", report.model_dump(mode="json"))
        write_json(temporary / "metrics.json", report.metrics)
    log.info("%s: %s", lab.name, ", ".join(f"{name} {value:.4g}" for name, value in report.metrics.items()))
    return report

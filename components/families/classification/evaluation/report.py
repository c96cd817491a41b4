"""report.html of a digit classifier, for readers who do not train models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.bundle import Manifest
from components.datasets.digits.reader import Split
from components.families.classification.evaluation import plots
from components.families.classification.evaluation.measures import Mistake, Reliability
from components.families.classification.evaluation.outliers import Refusals
from components.families.classification.runtime.outlier_pictures import mean_auroc
from components.files import write_text
from components.report.model import about, limitations, variants
from components.report.page import figure, note, page, section, table
from components.stats import wilson_interval

UNITS = {"shift": "pixels", "rotation": "degrees", "noise": "standard deviation", "blur": "pixels"}
"""Units of the levels of each corruption."""
REFUSING = (
    "AUROC: the chance that such a picture is farther from the training digits than a digit is. The detector with the "
    "largest mean on validation digits and validation pictures was kept, and its limit is of validation digits. The "
    "table below judges it on test digits and on pictures from other sources: other letters, fonts and faces. Refused: "
    "the share beyond the limit."
)


@dataclass(frozen=True)
class Findings:
    """The content of the report."""

    manifest: Manifest
    metrics: Mapping[str, float]
    variants: Mapping[str, Mapping[str, float]]
    served: str
    test: Split
    matrix: np.ndarray
    reliability: Reliability
    mistakes: Sequence[Mistake]
    robustness: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    """By kind of corruption: its levels and the accuracy under each."""
    refusals: Mapping[str, Refusals]
    """By kind of picture that is no digit."""
    limitations: tuple[str, ...]


def write_report(out: Path, findings: Findings) -> None:
    """Writes report.html and mistakes.png into `out`."""
    metrics = findings.metrics
    total = len(findings.test.labels)
    right = int(np.trace(findings.matrix))
    low, high = wilson_interval(right, total)
    results = [
        ("accuracy", f"{metrics['accuracy']:.2%}", f"{total - right} of {total} wrong; 95 %: {low:.2%} to {high:.2%}"),
        ("the digit read worst", f"{metrics['worst_digit_accuracy']:.2%}", "share of that digit that is read right"),
        ("cross-entropy", f"{metrics['cross_entropy']:.4f}", "nats; 2.303 is guessing"),
        ("calibration error", f"{metrics['calibration_error']:.2%}", "mean gap of confidence and accuracy"),
    ]
    confusion = figure("Confusion: what is read as what", plots.confusion(findings.matrix))
    calibration = figure("Calibration", plots.calibration(findings.reliability))
    mistakes = plots.mistakes(findings.test.images, findings.mistakes, out / "mistakes.png")
    sections = [
        about(findings.manifest, findings.served),
        section("Test digits", table(results)),
        variants(findings.variants),
        limitations(findings.limitations),
        section("Plots", f'<div class="pairs">{confusion}{calibration}</div>'),
        figure("Accuracy on corrupted test digits", plots.robustness(findings.robustness, UNITS)),
        section(
            "Pictures that are no digits",
            note(REFUSING),
            _detectors(findings.manifest.spec),
            _refusals(findings.refusals, findings.manifest.spec),
        ),
        figure("The mistakes with the highest confidence", mistakes),
    ]
    write_text(out / "report.html", page(f"Evaluation of the lab {findings.manifest.lab}", sections))


def _detectors(spec: Mapping[str, Any]) -> str:
    """What export tried, on validation pictures."""
    rows = (
        (f"{name} (kept)" if name == spec["detector"] else name, f"{mean_auroc(found):.4f}")
        for name, found in spec["detectors"].items()
    )
    return table(rows, ["detector", "mean AUROC, validation"])


def _refusals(refusals: Mapping[str, Refusals], spec: Mapping[str, Any]) -> str:
    validation = spec["detectors"][spec["detector"]]
    rows = (
        (kind, f"{validation[kind]:.4f}", f"{found.auroc:.4f}", f"{found.refused:.1%}", str(found.pictures))
        for kind, found in refusals.items()
    )
    return table(rows, ["kind", "AUROC, validation", "AUROC, test", "refused, test", "pictures, test"])

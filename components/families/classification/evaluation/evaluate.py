"""Measures an exported bundle on held-out digits, clean and corrupted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.datasets.digits.reader import Split, read_split
from components.errors import UserError
from components.families.classification.evaluation import measures, outliers
from components.families.classification.evaluation.corruptions import corrupted
from components.families.classification.evaluation.report import UNITS, Findings, write_report
from components.families.classification.features import references
from components.families.classification.params import Evaluate
from components.families.classification.runtime import DISTANCE, DigitModel, DistanceModel
from components.families.classification.runtime.outlier_pictures import MEAN_OF, mean_auroc
from components.onnx.quantisation import choose_variant, quantisation_cost
from components.records import Evaluation
from components.report.csv_table import write_csv

if TYPE_CHECKING:
    from components.bundle import Bundle

log = logging.getLogger(__name__)

Curves = dict[str, tuple[Sequence[float], Sequence[float]]]
"""By kind of corruption: its levels, and the accuracy under each (the mean over the ways it can go)."""


def evaluate(bundle: Bundle, prepared: Path, out: Path, params: Evaluate) -> Evaluation:
    """Measures every variant, chooses the one to serve, and measures that one in detail.

    Writes report.html, mistakes.png and plots/*.csv into `out`.
    """
    test, validation = read_split(prepared, "test"), read_split(prepared, "validation")
    models = {variant: DigitModel.load(bundle, variant) for variant in bundle.spec["variants"]}
    variants = {variant: measured(model, test, validation, params) for variant, model in models.items()}
    cost = quantisation_cost(variants, "accuracy_validation")
    served = choose_variant(variants, cost, params.max_quantisation_cost)
    probabilities = models[served].probabilities(test.images, params.batch)
    matrix = measures.confusion_matrix(probabilities.argmax(axis=1), test.labels)
    reliability = measures.reliability(probabilities, test.labels, params.bins)
    curves = robustness(models[served], test, params)
    distance = DistanceModel.load(bundle)
    if distance is None or "detectors" not in bundle.spec:
        raise UserError(f"the bundle has no graph '{DISTANCE}', or says not how it was chosen: export it again")
    refusals, abstain_rate = outliers.measure(distance, test, params.outliers, params.seed)
    detectors = bundle.spec["detectors"]
    metrics = {
        **variants[served],
        "worst_digit_accuracy": float(np.nanmin(measures.recalls(matrix))),
        "quantisation_cost": cost,
        **{f"{kind}_accuracy": float(np.mean(accuracies)) for kind, (_, accuracies) in curves.items()},
        "ood_auroc": mean_auroc({kind: found.auroc for kind, found in refusals.items()}),
        "ood_auroc_validation": mean_auroc(detectors[bundle.spec["detector"]]),
        "abstain_rate": abstain_rate,
    }
    findings = Findings(
        manifest=bundle.manifest,
        metrics=metrics,
        variants=variants,
        served=served,
        test=test,
        matrix=matrix,
        reliability=reliability,
        mistakes=measures.worst_mistakes(probabilities, test.labels, params.mistakes),
        robustness=curves,
        refusals=refusals,
        limitations=tuple(limitations(matrix, curves, refusals, abstain_rate)),
    )
    _write_tables(out / "plots", findings)
    write_report(out, findings)
    return Evaluation(
        metrics=metrics,
        counts={name: _count(name, matrix, len(validation.labels), refusals) for name in metrics},
        variants=variants,
        serve={"variant": served},
        limitations=findings.limitations,
        drift_references=references(
            validation.images,
            models[served].probabilities(validation.images, params.batch).max(axis=1),
            distance.distances(validation.images),
        ),
    )


def measured(model: DigitModel, test: Split, validation: Split, params: Evaluate) -> dict[str, float]:
    """What is measured on every variant."""
    probabilities = model.probabilities(test.images, params.batch)
    calibration = measures.reliability(probabilities, test.labels, params.bins)
    return {
        "accuracy": measures.accuracy(probabilities, test.labels),
        "accuracy_validation": measures.accuracy(model.logits(validation.images, params.batch), validation.labels),
        "cross_entropy": measures.cross_entropy(probabilities, test.labels),
        "calibration_error": measures.calibration_error(calibration),
    }


def robustness(model: DigitModel, test: Split, params: Evaluate) -> Curves:
    """Accuracy on the test digits under every corruption."""
    log.info("reading %d test digits under shift, rotation, noise and blur", len(test.labels))
    found: dict[str, dict[float, list[float]]] = {}
    for kind, level, images in corrupted(test.images, params):
        accuracy = measures.accuracy(model.logits(images, params.batch), test.labels)
        found.setdefault(kind, {}).setdefault(level, []).append(accuracy)
    return {kind: (list(levels), [float(np.mean(ways)) for ways in levels.values()]) for kind, levels in found.items()}


def limitations(
    matrix: np.ndarray, curves: Curves, refusals: Mapping[str, outliers.Refusals], abstain_rate: float
) -> list[str]:
    """Limitations as sentences with the measured values, for those who use the model."""
    sentences = []
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    if wrong.any():
        label, answer = (int(place) for place in np.unravel_index(wrong.argmax(), wrong.shape))
        sentences.append(
            f"Its commonest mistake is to read a {label} as a {answer}: "
            f"{matrix[label, answer]} of {matrix[label].sum()} times."
        )
    for kind, (levels, accuracies) in curves.items():
        worst = int(np.argmin(accuracies))
        level = f"{kind} of {levels[worst]:g} {UNITS[kind]}"
        sentences.append(f"Under {level} it reads {accuracies[worst]:.1%} of the digits right.")
    worst_kind = min(refusals, key=lambda kind: refusals[kind].refused)
    return [
        *sentences,
        f"It abstains from {abstain_rate:.1%} of digits, and takes {1 - refusals[worst_kind].refused:.0%} of the "
        f"pictures of the kind '{worst_kind}' for digits.",
    ]


def _write_tables(folder: Path, findings: Findings) -> None:
    """The numbers of each plot, as CSV."""
    cells = [(label, answer) for label in range(10) for answer in range(10)]
    pairs = [
        (label, answer) for label, answer in cells for _ in range(int(findings.matrix[label, answer]))
    ]  # one row for each picture, as `dvc plots` reads a confusion matrix
    write_csv(folder / "confusion.csv", {"is": [pair[0] for pair in pairs], "read_as": [pair[1] for pair in pairs]})
    reliability = {name: values.tolist() for name, values in findings.reliability._asdict().items()}
    write_csv(folder / "calibration.csv", reliability)
    rows = [
        (kind, level, f"{kind} {level:g}", accuracy)
        for kind, (levels, accuracies) in findings.robustness.items()
        for level, accuracy in zip(levels, accuracies, strict=True)
    ]
    columns = zip(("corruption", "level", "under", "accuracy"), zip(*rows, strict=True), strict=True)
    write_csv(folder / "robustness.csv", {name: list(values) for name, values in columns})
    kinds = findings.refusals
    figures = {name: [getattr(found, name) for found in kinds.values()] for name in ("auroc", "refused", "pictures")}
    write_csv(folder / "outliers.csv", {"kind": list(kinds), **figures})


def _count(metric: str, matrix: np.ndarray, validation: int, refusals: Mapping[str, outliers.Refusals]) -> int:
    """Number of pictures that a metric was measured on."""
    if metric in ("accuracy_validation", "quantisation_cost", "ood_auroc_validation"):
        return validation
    if metric == "ood_auroc":
        return sum(refusals[kind].pictures for kind in MEAN_OF)
    if metric == "worst_digit_accuracy":
        return int(matrix.sum(axis=1)[np.nanargmin(measures.recalls(matrix))])
    return int(matrix.sum())

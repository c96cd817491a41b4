"""Measures an exported bundle on photographs that neither training nor the choice of the epoch has seen."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.datasets.faces.category_reader import Labelled, photographs
from components.families.classification.evaluation import measures, plots
from components.files import write_text
from components.labs.transfer.params import Evaluate
from components.labs.transfer.runtime.model import CategoryModel
from components.onnx.quantisation import choose_variant, quantisation_cost
from components.records import Evaluation
from components.report import model as report
from components.report.csv_table import write_csv
from components.report.page import figure, page, section, table
from components.stats import softmax, wilson_interval

if TYPE_CHECKING:
    from components.bundle import Bundle

NAMED = 10
"""Categories that the report names, the worst first; and pairs of them."""
CONFUSED = ("category", "taken for", "photographs")
MISTAKES = 40
"""Photographs that the report shows; not in params.yaml, whose types are code that trains."""


def evaluate(bundle: Bundle, prepared: Path, out: Path, params: Evaluate) -> Evaluation:
    """Measures every variant and chooses the one to serve.

    Writes report.html, mistakes.png and plots/categories.csv into `out`.
    """
    models = {variant: CategoryModel.load(bundle, variant) for variant in bundle.spec["variants"]}
    size = int(bundle.spec["size"])
    test, validation = photographs(prepared, "audit", size), photographs(prepared, "validation", size)
    variants = {variant: measured(model, test, validation, params) for variant, model in models.items()}
    cost = quantisation_cost(variants, "accuracy_validation")
    served = choose_variant(variants, cost, params.max_quantisation_cost)
    names = models[served].categories
    probabilities = softmax(models[served].logits(test.images, params.batch))
    right = probabilities.argmax(axis=1) == test.labels
    found = by_category(right, test.labels, names)
    limitations = limits(found)
    metrics = {**variants[served], "quantisation_cost": cost}
    best = sorted(found, key=lambda name: -found[name])
    shares = [found[name] for name in best]
    write_csv(out / "plots/categories.csv", {"place": range(1, len(best) + 1), "category": best, "accuracy": shares})
    mistakes = measures.worst_mistakes(probabilities, test.labels, MISTAKES)
    confused = confusions(probabilities.argmax(axis=1), test.labels, names)
    reliability = measures.reliability(probabilities, test.labels, params.bins)
    sections = [
        report.about(bundle.manifest, served),
        section("Test photographs", _results(right, found)),
        section("Most frequent confusions", table(confused, CONFUSED)),
        report.variants(variants),
        report.limitations(limitations),
        section("Plots", figure("Calibration", plots.calibration(reliability))),
        figure(
            "The mistakes with the highest confidence",
            plots.mistakes(test.images, mistakes, out / "mistakes.png", names),
        ),
    ]
    write_text(out / "report.html", page(f"Evaluation of the lab {bundle.manifest.lab}", sections))
    on_validation = ("accuracy_validation", "quantisation_cost")
    return Evaluation(
        metrics=metrics,
        counts={name: len((validation if name in on_validation else test).labels) for name in metrics},
        variants=variants,
        serve={"variant": served},
        limitations=limitations,
    )


def measured(model: CategoryModel, test: Labelled, validation: Labelled, params: Evaluate) -> dict[str, float]:
    """What is measured on every variant."""
    logits = model.logits(test.images, params.batch)
    probabilities = softmax(logits)
    best = np.argsort(-logits, axis=1)[:, :5]
    return {
        "accuracy": measures.accuracy(logits, test.labels),
        "top_5_accuracy": float((best == test.labels[:, None]).any(axis=1).mean()),
        "accuracy_validation": measures.accuracy(model.logits(validation.images, params.batch), validation.labels),
        "cross_entropy": measures.cross_entropy(probabilities, test.labels),
        "calibration_error": measures.calibration_error(measures.reliability(probabilities, test.labels, params.bins)),
    }


def by_category(right: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """Share of each category's pictures that was found, of those categories that the test has."""
    return {name: float(right[labels == label].mean()) for label, name in enumerate(names) if (labels == label).any()}


def confusions(answers: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Pairs of categories (what it is, what it is taken for, how many of how many), the most frequent ones first.

    answers, labels: (N,) places in `names`. Of equals the ones that are a larger share of their category come first.
    """
    wrong = answers != labels
    pairs, counts = np.unique(np.stack([labels[wrong], answers[wrong]], axis=1), axis=0, return_counts=True)
    of = np.bincount(labels, minlength=len(names))
    order = np.lexsort((-counts / of[pairs[:, 0]], -counts))[:NAMED]
    return [
        (escape(names[label]), escape(names[answer]), f"{counts[row]} of {of[label]}")
        for row, (label, answer) in zip(order, pairs[order], strict=True)
    ]


def limits(found: Mapping[str, float]) -> tuple[str, ...]:
    """Sentences for those who use the model. found: the share of each category that was found."""
    never = sum(share == 0 for share in found.values())
    worst = min(found, key=lambda name: found[name])
    least = f"it never finds {never}" if never else f"it finds {worst} least often: {found[worst]:.0%} of them"
    return (
        f"Of the {len(found)} categories in the test {least}.",
        "It puts every picture into one of its categories, whatever it shows.",
    )


def _results(right: np.ndarray, found: Mapping[str, float]) -> str:
    low, high = wilson_interval(int(right.sum()), len(right))
    worst = sorted(found, key=lambda name: found[name])[:NAMED]
    return (
        f"<p>{int(right.sum())} of {len(right)} test photographs right; 95 %: {low:.1%} to {high:.1%}.</p>"
        "<h3>Categories found least often</h3>"
        + table([(escape(name), f"{found[name]:.0%}") for name in worst], ["category", "found"])
    )

"""Measures an exported bundle on photographs that nothing before has looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.datasets.faces.category_reader import Labelled, middle, photographs
from components.families.classification.evaluation import measures, plots
from components.families.classification.evaluation.plots import write_csv
from components.families.classification.evaluation.report import STYLE
from components.files import write_text
from components.labs.transfer.params import Evaluate
from components.labs.transfer.runtime import CategoryModel
from components.onnx.quantisation import choose_variant, quantisation_cost
from components.records import Evaluation
from components.stats import softmax, wilson_interval

if TYPE_CHECKING:
    from components.bundle import Bundle

NAMED = 10
"""Categories that the report names, the worst first."""
MISTAKES = 40
"""Photographs that the report shows; not in params.yaml, whose types are code that trains."""


def evaluate(bundle: Bundle, prepared: Path, out: Path, params: Evaluate) -> Evaluation:
    """Measures every variant and chooses the one to serve.

    Writes report.html, mistakes.png and plots/categories.csv into `out`.
    """
    models = {variant: CategoryModel.load(bundle, variant) for variant in bundle.spec["variants"]}
    size = int(bundle.spec["size"])
    test, validation = (
        Labelled(middle(found.images, size), found.labels)
        for found in (photographs(prepared, "audit"), photographs(prepared, "validation"))
    )
    variants = {variant: measured(model, test, validation, params) for variant, model in models.items()}
    cost = quantisation_cost(variants, "accuracy_validation")
    served = choose_variant(variants, cost, params.max_quantisation_cost)
    probabilities = softmax(models[served].logits(test.images, params.batch))
    right = probabilities.argmax(axis=1) == test.labels
    found = by_category(right, test.labels, models[served].categories)
    worst = sorted(found, key=lambda name: found[name])[:NAMED]
    never = sum(share == 0 for share in found.values())
    least = f"it never finds {never}" if never else f"it finds {worst[0]} least often: {found[worst[0]]:.0%} of them"
    limitations = (
        f"Of the {len(found)} categories in the test {least}.",
        "It puts every picture into one of its categories, whatever it shows.",
    )
    metrics = {**variants[served], "quantisation_cost": cost}
    best = sorted(found, key=lambda name: -found[name])
    shares = [found[name] for name in best]
    write_csv(out / "plots/categories.csv", {"place": range(1, len(best) + 1), "category": best, "accuracy": shares})
    mistakes = measures.worst_mistakes(probabilities, test.labels, MISTAKES)
    pictures = {
        "The mistakes it was surest of": plots.mistakes(
            test.images, mistakes, out / "mistakes.png", models[served].categories
        ),
        "Calibration": plots.calibration(measures.reliability(probabilities, test.labels, params.bins)),
    }
    shown = {name: found[name] for name in worst}
    _write_report(out / "report.html", bundle, variants, right, shown, served, limitations, pictures)
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


def _write_report(
    path: Path,
    bundle: Bundle,
    variants: Mapping[str, Mapping[str, float]],
    right: np.ndarray,
    worst: Mapping[str, float],
    served: str,
    limitations: Sequence[str],
    pictures: Mapping[str, str],
) -> None:
    manifest = bundle.manifest
    low, high = wilson_interval(int(right.sum()), len(right))
    names = list(next(iter(variants.values())))
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in ("variant", *names))
    rows = "".join(
        f"<tr><td>{escape(variant)}</td>" + "".join(f"<td>{values[name]:.4f}</td>" for name in names) + "</tr>"
        for variant, values in variants.items()
    )
    profile = manifest.provenance.data_profile
    warning = "" if profile == "course" else " <strong>(the small starter data: not the real thing)</strong>"
    title = f"The model of the lab {escape(manifest.lab)}, measured"
    write_text(
        path,
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"</head>\n<body><h1>{title}</h1>"
        f"<p>Model <code>{manifest.digest}</code>, data profile {escape(profile)}{warning}; served: {escape(served)}."
        f"</p><p>{int(right.sum())} of {len(right)} test photographs right; 95 %: {low:.1%} to {high:.1%}.</p>"
        f"<table><tr>{head}</tr>{rows}</table><h2>Categories found least often</h2><table>"
        + "".join(f"<tr><th>{escape(name)}</th><td>{share:.0%}</td></tr>" for name, share in worst.items())
        + "</table><h2>Weaknesses</h2><ul>"
        + "".join(f"<li>{escape(each)}</li>" for each in limitations)
        + "</ul>"
        + "".join(f"<figure><figcaption>{escape(name)}</figcaption>{svg}</figure>" for name, svg in pictures.items())
        + "</body></html>\n",
    )

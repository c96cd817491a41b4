"""What Kubeflow's page shows of a step's output, read from the files that the step left. It measures nothing."""

from __future__ import annotations

import csv
import html
from collections import Counter
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from components.files import read_json, write_text

if TYPE_CHECKING:
    from kfp.dsl import ClassificationMetrics, Metrics

STYLE = "body { font: 15px/1.45 system-ui, sans-serif; margin: 1rem; } iframe { width: 100%; height: 80vh; border: 0; }"
ROC_POINTS = 200
"""Points of a curve: Kubeflow keeps them with the run, not in a file."""


def numbers(metrics: Metrics, values: Mapping[str, float]) -> None:
    for name, value in sorted(values.items()):
        metrics.log_metric(name, value)


def curve(trained: Path, page: str) -> None:
    """A plot for each column of curve.csv over the steps, as one page."""
    import matplotlib
    from matplotlib.figure import Figure

    with (trained / "curve.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("step", "epoch")]
    # No pyplot: it keeps every figure alive and wants a display's settings.
    figure = Figure(figsize=(7, 2.6 * len(names)), layout="constrained")
    for index, name in enumerate(names, start=1):
        axes = figure.add_subplot(len(names), 1, index)
        axes.plot([int(row["step"]) for row in rows], [float(row[name]) for row in rows], color="#00798c")
        axes.set_title(name)
        axes.set_xlabel("step")
    text = StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    _write(page, "training", svg[svg.index("<svg") :])


def reports(folder: Path, page: str) -> None:
    """The HTML files of an output as one page; where there is none, its metrics as a table."""
    found = sorted(folder.glob("*.html"))
    if found:
        frames = (
            f'<h2>{path.stem}</h2><iframe srcdoc="{html.escape(path.read_text("utf-8"))}"></iframe>' for path in found
        )
        _write(page, folder.name, "\n".join(frames))
        return
    metrics = read_json(folder / "metrics.json")
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{value:.5g}</td></tr>" for name, value in metrics.items())
    _write(page, folder.name, f"<table>{rows}</table>")


def classification(folder: Path, metrics: ClassificationMetrics) -> None:
    """The ROC curve, of an evaluation that wrote scores of the served variant, and the confusion matrix, of one that
    wrote pairs of digits; neither where there is neither."""
    scores = folder / f"scores_{read_json(folder / 'evaluation.json')['serve'].get('variant')}.csv"
    if scores.exists():
        _roc(scores, metrics)
    pairs = folder / "plots" / "confusion.csv"
    if pairs.exists():
        _confusion(pairs, metrics)


def _roc(scores: Path, metrics: ClassificationMetrics) -> None:
    from sklearn.metrics import roc_curve

    with scores.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rates = roc_curve([int(row["face"]) for row in rows], [float(row["logit"]) for row in rows])
    every = max(1, len(rates[0]) // ROC_POINTS)
    # The first threshold is infinity, which JSON does not have.
    false_positives, true_positives, thresholds = ([float(value) for value in column[1::every]] for column in rates)
    metrics.log_roc_curve(false_positives, true_positives, thresholds)


def _confusion(pairs: Path, metrics: ClassificationMetrics) -> None:
    with pairs.open(encoding="utf-8", newline="") as file:
        counts = Counter((row["is"], row["read_as"]) for row in csv.DictReader(file))
    names = sorted({name for pair in counts for name in pair})
    metrics.log_confusion_matrix(names, [[counts[actual, read] for read in names] for actual in names])


def _write(page: str, title: str, body: str) -> None:
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
    write_text(Path(page), f"{head}<style>{STYLE}</style></head><body>{body}</body></html>\n")

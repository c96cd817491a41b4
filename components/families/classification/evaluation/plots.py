"""Plots as SVG that stands in an HTML page without loading anything, and the same numbers as CSV for `dvc plots`."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.families.classification.evaluation.measures import Mistake, Reliability
from components.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 8
"""Mistakes in a row."""


def confusion(matrix: np.ndarray) -> str:
    """The confusion matrix, right answers left out of the colours. Returns SVG."""
    figure = _figure(5.6, 5.0)
    axes = figure.add_subplot()
    wrong = matrix * (1 - np.eye(len(matrix)))
    axes.imshow(wrong, cmap="Reds", vmin=0, vmax=max(1, wrong.max()))
    for label, answer in np.argwhere(matrix > 0):
        shade = "#9aa5b1" if label == answer else "white" if wrong[label, answer] > wrong.max() / 2 else "black"
        axes.text(answer, label, str(matrix[label, answer]), ha="center", va="center", fontsize=8, color=shade)
    axes.set_xticks(range(len(matrix)))
    axes.set_yticks(range(len(matrix)))
    axes.set_xlabel("read as")
    axes.set_ylabel("is")
    return _svg(figure, "confusion")


def calibration(found: Reliability) -> str:
    """Accuracy by confidence, beside what it would be if the model knew what it knows. Returns SVG."""
    figure = _figure(5.0, 4.0)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#9aa5b1", linewidth=1, label="perfectly calibrated")
    axes.plot(found.confidence, found.accuracy, color="#d1495b", marker="o", label="this model")
    axes.set_xlabel("confidence")
    axes.set_ylabel("share right")
    axes.legend(frameon=False)
    return _svg(figure, "calibration")


def robustness(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], units: Mapping[str, str]) -> str:
    """A small plot for each kind of corruption: (levels, accuracies). Returns SVG."""
    figure = _figure(3.0 * len(curves), 2.8)
    for index, (kind, (levels, accuracies)) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(1, len(curves), index)
        axes.plot(levels, accuracies, color="#00798c", marker="o")
        axes.set_title(kind)
        axes.set_xlabel(units[kind])
        axes.set_ylim(0, 1.02)
    return _svg(figure, "robustness")


def mistakes(images: np.ndarray, found: Sequence[Mistake], path: Path, names: Sequence[str] = ()) -> str:
    """The pictures of mistakes, with what they are and what was read; also as PNG at `path`. Returns SVG.

    images: (N, H, W) ink or (N, H, W, 3) colours, bytes. names: of the labels, where they are no digits.
    """
    rows = max(1, -(-len(found) // ACROSS))
    figure = _figure(1.25 * ACROSS, (1.9 if names else 1.6) * rows)
    for place, mistake in enumerate(found, start=1):
        axes = figure.add_subplot(rows, ACROSS, place)
        axes.imshow(images[mistake.row], cmap="gray_r", vmin=0, vmax=255)
        label, answer = (names[each] if names else str(each) for each in (mistake.label, mistake.answer))
        between = "\n" if names else " "
        axes.set_title(f"{label},{between}read {answer}\n{mistake.confidence:.0%} sure", fontsize=6 if names else 8)
        axes.set_axis_off()
    figure.savefig(path, dpi=90, metadata={"Software": None})
    return _svg(figure, "mistakes")


def write_csv(path: Path, columns: Mapping[str, Sequence[str | int | float]]) -> None:
    """Columns of equal length under their names."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_text(path, text.getvalue())


def _figure(width: float, height: float) -> Figure:
    # No pyplot: it keeps every figure alive and wants a display's settings.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Figure, name: str) -> str:
    import matplotlib

    text = StringIO()
    # Text as text, and no date or random ids: equal numbers make equal files.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    # In a page the picture starts at its <svg> element: a document type would be an address to load.
    svg = text.getvalue()
    return svg[svg.index("<svg") :]

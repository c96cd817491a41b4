"""Plots of a classifier: confusion, calibration, robustness, and the pictures that it read wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from components.families.classification.evaluation.measures import Mistake, Reliability
from components.report.plots import COOL, MUTED, WARM, canvas, svg

ACROSS = 8
"""Mistakes in a row."""


def confusion(matrix: np.ndarray) -> str:
    """The confusion matrix; only mistakes are coloured. Returns SVG."""
    figure = canvas(5.6, 5.0)
    axes = figure.add_subplot()
    wrong = matrix * (1 - np.eye(len(matrix)))
    axes.imshow(wrong, cmap="Reds", vmin=0, vmax=max(1, wrong.max()))
    for label, answer in np.argwhere(matrix > 0):
        shade = MUTED if label == answer else "white" if wrong[label, answer] > wrong.max() / 2 else "black"
        axes.text(answer, label, str(matrix[label, answer]), ha="center", va="center", fontsize=8, color=shade)
    axes.set_xticks(range(len(matrix)))
    axes.set_yticks(range(len(matrix)))
    axes.set_xlabel("read as")
    axes.set_ylabel("is")
    return svg(figure, "confusion")


def calibration(found: Reliability) -> str:
    """Accuracy by confidence, beside the line on which both are equal. Returns SVG."""
    figure = canvas(5.0, 4.0)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, label="perfectly calibrated")
    axes.plot(found.confidence, found.accuracy, color=WARM, marker="o", label="this model")
    axes.set_xlabel("confidence")
    axes.set_ylabel("share right")
    axes.legend(frameon=False)
    return svg(figure, "calibration")


def robustness(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], units: Mapping[str, str]) -> str:
    """A small plot for each kind of corruption: (levels, accuracies). Returns SVG."""
    figure = canvas(3.0 * len(curves), 2.8)
    for index, (kind, (levels, accuracies)) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(1, len(curves), index)
        axes.plot(levels, accuracies, color=COOL, marker="o")
        axes.set_title(kind)
        axes.set_xlabel(units[kind])
        axes.set_ylim(0, 1.02)
    return svg(figure, "robustness")


def mistakes(images: np.ndarray, found: Sequence[Mistake], path: Path, names: Sequence[str] = ()) -> str:
    """The pictures of mistakes with label and answer; also as PNG at `path`. Returns SVG.

    images: (N, H, W) ink or (N, H, W, 3) colours, bytes. names: of the labels, where they are no digits.
    """
    rows = max(1, -(-len(found) // ACROSS))
    figure = canvas(1.25 * ACROSS, (1.9 if names else 1.6) * rows)
    for place, mistake in enumerate(found, start=1):
        axes = figure.add_subplot(rows, ACROSS, place)
        axes.imshow(images[mistake.row], cmap="gray_r", vmin=0, vmax=255)
        label, answer = (names[each] if names else str(each) for each in (mistake.label, mistake.answer))
        between = "\n" if names else " "
        axes.set_title(f"{label},{between}read {answer}\n{mistake.confidence:.0%} sure", fontsize=6 if names else 8)
        axes.set_axis_off()
    figure.savefig(path, dpi=90, metadata={"Software": None})
    return svg(figure, "mistakes")

"""Plots of a classifier: confusion, calibration, robustness, and the pictures that it read wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from components.families.classification.evaluation.measures import Mistake, Reliability
from components.report import svg
from components.report.pictures import save_png
from components.report.plots import MUTED, WARM
from components.report.svg import Series

ACROSS = 8
"""Mistakes in a row."""


def confusion(matrix: np.ndarray) -> str:
    """The confusion matrix; only mistakes are coloured. Returns SVG."""
    return svg.matrix(matrix, "is", "read as")


def calibration(found: Reliability) -> str:
    """Accuracy by confidence, beside the line on which both are equal. Returns SVG."""
    perfect = Series("perfectly calibrated", (0.0, 1.0), (0.0, 1.0), MUTED)
    model = Series("this model: share right", found.confidence.tolist(), found.accuracy.tolist(), WARM)
    return svg.shares([perfect, model], "confidence")


def robustness(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], units: Mapping[str, str]) -> str:
    """A small plot for each kind of corruption: (levels, accuracies). Returns SVGs side by side."""
    found = (svg.shares([Series(kind, *curve)], units[kind], kind) for kind, curve in curves.items())
    return f'<div class="pairs">{"".join(found)}</div>'


def mistakes(images: np.ndarray, found: Sequence[Mistake], path: Path, names: Sequence[str] = ()) -> str:
    """The pictures of mistakes with label and answer; also as PNG at `path`. Returns SVG.

    images: (N, H, W) ink or (N, H, W, 3) colours, bytes. names: of the labels, where they are no digits.
    """
    shown = [images[mistake.row] if images.ndim == 4 else 255 - images[mistake.row] for mistake in found]
    captions = [_caption(mistake, names) for mistake in found]
    save_png(path, svg.sheet_with_captions(shown, captions, ACROSS))
    return svg.pictures(shown, captions, ACROSS)


def _caption(mistake: Mistake, names: Sequence[str]) -> list[str]:
    label, answer = (names[each].replace("_", " ") if names else each for each in (mistake.label, mistake.answer))
    # A name takes most of a picture's width.
    read = [f"{label}", f"as {answer}"] if names else [f"{label}, read {answer}"]
    return [*read, f"{mistake.confidence:.0%} sure"]

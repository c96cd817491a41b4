"""Plots as SVG that stands in an HTML page without loading anything, and the same numbers as CSV for `dvc plots`."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from components.files import write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Column = Sequence[str | int | float]
Table = Mapping[str, Column]

COLOURS = {"generated": "#d1495b", "held_out": "#00798c", "training": "#9aa5b1"}
"""One colour for a source of tunes in every plot."""


def lines(x: Column, series: Mapping[str, Column], x_label: str, y_label: str) -> str:
    """Curves over a common x. Returns SVG."""
    figure, axes = _figure()
    for name, y in series.items():
        axes.plot(x, y, label=name.replace("_", " "), color=COLOURS.get(name), linewidth=1.8)
    return _finished(figure, axes, x_label, y_label)


def bars(values: Column, series: Mapping[str, Sequence[float]], x_label: str, y_label: str) -> str:
    """Bars side by side, a group for each value. Returns SVG."""
    figure, axes = _figure()
    width = 0.8 / len(series)
    for index, (name, heights) in enumerate(series.items()):
        places = [place + (index - (len(series) - 1) / 2) * width for place in range(len(values))]
        axes.bar(places, heights, width, label=name.replace("_", " "), color=COLOURS.get(name))
    slanted = any(len(str(value)) > 4 for value in values)
    axes.set_xticks(
        range(len(values)), [str(value)[:20] for value in values], rotation=45 if slanted else 0, fontsize=8
    )
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right" if slanted else "center")
    return _finished(figure, axes, x_label, y_label)


def write_csv(path: Path, columns: Mapping[str, Column]) -> None:
    """Columns of equal length under their names."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_text(path, text.getvalue())


def _figure() -> tuple[Figure, Axes]:
    # No pyplot: it keeps every figure alive and wants a display's settings.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    return figure, figure.add_subplot()


def _finished(figure: Figure, axes: Axes, x_label: str, y_label: str) -> str:
    import matplotlib

    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    text = StringIO()
    # Text as text, and no date or random ids: equal numbers make equal files.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": x_label + y_label}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    # In a page the picture starts at its <svg> element: a document type would be an address to load.
    svg = text.getvalue()
    return svg[svg.index("<svg") :]

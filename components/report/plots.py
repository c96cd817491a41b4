"""matplotlib's plots as SVG inside a page. Equal numbers make equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING

from components.report.csv_table import Column

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MUTED, WARM, COOL = "#9aa5b1", "#d1495b", "#00798c"
"""Colours of a reference, of the model, and of a third series."""


def canvas(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    # No pyplot: it keeps every figure alive and wants a display's settings.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def svg(figure: Figure, name: str) -> str:
    """The figure as an <svg> element. name: keeps the ids of one plot apart from those of the others on a page."""
    import matplotlib

    text = StringIO()
    # Text as text, and no date or random ids.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    # Inside a page a plot starts at its <svg> element: a document type would be an address to load.
    content = text.getvalue()
    return content[content.index("<svg") :]


def lines(
    x: Column,
    series: Mapping[str, Column],
    x_label: str,
    y_label: str,
    colours: Mapping[str, str],
    marked: bool = False,
) -> str:
    """Curves over a common x, by name. marked: each point has a dot, so that a single one is seen. Returns SVG."""
    figure, axes = _small()
    marker = "o" if marked else None
    for name, y in series.items():
        axes.plot(x, y, label=name.replace("_", " "), color=colours.get(name), linewidth=1.8, marker=marker, ms=4)
    return _finished(figure, axes, x_label, y_label)


def bars(
    values: Column, series: Mapping[str, Sequence[float]], x_label: str, y_label: str, colours: Mapping[str, str]
) -> str:
    """Bars side by side, a group for each value, by name. Returns SVG."""
    figure, axes = _small()
    width = 0.8 / len(series)
    for index, (name, heights) in enumerate(series.items()):
        places = [place + (index - (len(series) - 1) / 2) * width for place in range(len(values))]
        axes.bar(places, heights, width, label=name.replace("_", " "), color=colours.get(name))
    slanted = any(len(str(value)) > 4 for value in values)
    axes.set_xticks(
        range(len(values)), [str(value)[:20] for value in values], rotation=45 if slanted else 0, fontsize=8
    )
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right" if slanted else "center")
    return _finished(figure, axes, x_label, y_label)


def _small() -> tuple[Figure, Axes]:
    figure = canvas(6.4, 3.2)
    return figure, figure.add_subplot()


def _finished(figure: Figure, axes: Axes, x_label: str, y_label: str) -> str:
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.dataLim.y0 >= 0:
        axes.set_ylim(bottom=0)
    else:
        axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.legend(frameon=False)
    return svg(figure, x_label + y_label)

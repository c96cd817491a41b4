"""Charts of intervals and curves as SVG in a page, in the page's colours. Equal numbers make equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor
from typing import NamedTuple

LABEL, PLOT, NUMBERS = 190, 380, 210
ROW = 26
CLASSES = ("first", "second", "third")

STYLE = """
svg { width: 100%; max-width: 50rem; height: auto; font: 13px system-ui, sans-serif; fill: currentColor }
svg .grid { stroke: currentColor; opacity: .15 } svg .bound { stroke: var(--fail); stroke-dasharray: 5 4 }
svg .mean { stroke: currentColor; opacity: .55; stroke-dasharray: 2 3 } svg .bound-label { fill: var(--fail) }
svg .span { stroke: var(--mark); stroke-width: 3 } svg .dot { fill: var(--mark) } svg .muted { opacity: .4 }
svg .curve { fill: none; stroke-width: 2.5 } svg .first { stroke: var(--pass) } svg .second { stroke: var(--wait) }
svg .third { stroke: var(--fail) } svg .end { text-anchor: end } svg .middle { text-anchor: middle }
"""


class Row(NamedTuple):
    """A measured share with its interval. muted: on too few items to say much."""

    label: str
    value: float | None
    low: float
    high: float
    note: str = ""
    muted: bool = False


class Line(NamedTuple):
    """A vertical line at `at`; a bound is drawn as one that must not be crossed."""

    at: float
    label: str
    bound: bool = False


def intervals(rows: Sequence[Row], lines: Sequence[Line] = (), unit: str = "%") -> str:
    """A row a group: a dot for what was measured, a bar for where the true value lies. Shares, drawn in percent.

    Muted rows don't stretch the axis: their bars may leave the picture.
    """
    clear = [row for row in rows if not row.muted] or list(rows)
    known = [end for row in clear for end in (row.low, row.high)] + [line.at for line in lines]
    low, high, step = _axis(min(known), max(known))
    bottom = 24 + ROW * len(rows)

    def x(value: float) -> float:
        return LABEL + PLOT * (min(max(value, low), high) - low) / (high - low)

    parts = [_grid(low, high, step, bottom, x(low), unit)]
    for line in lines:
        name, place = ("bound", "bound-label") if line.bound else ("mean", "")
        parts.append(f'<line class="{name}" x1="{x(line.at):.1f}" x2="{x(line.at):.1f}" y1="18" y2="{bottom}"/>')
        parts.append(f'<text class="middle {place}" x="{x(line.at):.1f}" y="12">{escape(line.label)}</text>')
    for index, row in enumerate(rows):
        y = 24 + ROW * index + ROW / 2
        parts.append(f"<g{' class=muted' if row.muted else ''}>")
        parts.append(f'<text class="end" x="{LABEL - 10}" y="{y + 4:.1f}">{escape(row.label)}</text>')
        parts.append(f'<line class="span" x1="{x(row.low):.1f}" x2="{x(row.high):.1f}" y1="{y}" y2="{y}"/>')
        if row.value is not None:
            parts.append(f'<circle class="dot" cx="{x(row.value):.1f}" cy="{y}" r="5"/>')
        parts.append(f'<text x="{LABEL + PLOT + 12}" y="{y + 4:.1f}">{escape(row.note)}</text></g>')
    return _svg(LABEL + PLOT + NUMBERS, bottom + 24, parts)


def curves(x: Sequence[float], series: Mapping[str, Sequence[float]], x_label: str) -> str:
    """Shares over a common x, at even distances in the order given; up to three of them."""
    width, height, left = 560, 220, 50
    known = [value for values in series.values() for value in values]
    low, high, step = _axis(min(known), max(known))

    def place(index: int, value: float) -> str:
        across = left + index * (width - left) / max(1, len(x) - 1)
        return f"{across:.1f},{20 + height * (high - value) / (high - low):.1f}"

    parts = []
    for share in (low + index * step for index in range(round((high - low) / step) + 1)):
        y = float(place(0, share).split(",")[1])
        parts.append(f'<line class="grid" x1="{left}" x2="{width}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="end" x="{left - 8}" y="{y + 4}">{100 * share:.3g}%</text>')
    for index, value in enumerate(x):
        at = place(index, low).split(",")[0]
        parts.append(f'<text class="middle" x="{at}" y="{height + 38}">{100 * value:g}</text>')
    for colour, (name, values) in zip(CLASSES, series.items(), strict=False):
        points = " ".join(place(index, value) for index, value in enumerate(values))
        parts.append(f'<polyline class="curve {colour}" points="{points}"/>')
        y = 34 + 20 * CLASSES.index(colour)
        parts.append(f'<line class="curve {colour}" x1="{width + 14}" x2="{width + 34}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{width + 40}" y="{y + 4}">{escape(name)}</text>')
    parts.append(f'<text class="middle" x="{(width + left) / 2}" y="{height + 58}">{escape(x_label)}</text>')
    return _svg(LABEL + PLOT + NUMBERS, height + 66, parts)


def _axis(low: float, high: float) -> tuple[float, float, float]:
    """Ends and step of an axis that holds both, in round numbers, within 0 and 1 where they are."""
    span = max(high - low, 0.005)
    step = next(size for size in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if span / size <= 8)
    first, last = floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step
    return first, max(last, first + step), step


def _grid(low: float, high: float, step: float, bottom: int, left: float, unit: str) -> str:
    parts = []
    for index in range(round((high - low) / step) + 1):
        x = left + PLOT * index * step / (high - low)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="18" y2="{bottom}"/>')
        label = f"{100 * (low + index * step):.3g}" if abs(low + index * step) > 1e-9 else "0"
        parts.append(f'<text class="middle" x="{x:.1f}" y="{bottom + 16}">{label}{unit}</text>')
    return "".join(parts)


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'

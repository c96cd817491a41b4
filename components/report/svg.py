"""Plots of a classifier drawn as SVG by hand: a matrix, shares over a number, pictures with captions.

matplotlib needs seconds to be imported and lays out every axis twice; a page of forty small pictures took it longer
than measuring the model. Equal numbers make equal bytes. Colours are fixed, because a plot has a white ground.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from components.report.page import data_address
from components.report.plots import COOL, MUTED, WARM

INK = "#1f2933"
CELL, MARGIN = 40, 46
WIDTH, HEIGHT, LEFT, BOTTOM = 380, 260, 52, 40
COLOURS = (MUTED, WARM, COOL)
PICTURE, LINE = 92, 14


class Series(NamedTuple):
    """Shares (0 to 1) over x. colour: one of COLOURS."""

    name: str
    x: Sequence[float]
    shares: Sequence[float]
    colour: str = COOL


def matrix(counts: np.ndarray, row_label: str, column_label: str) -> str:
    """A square matrix of counts, from 0; only what is off the diagonal is coloured. Returns SVG."""
    size = len(counts)
    largest = max(1, int((counts * (1 - np.eye(size, dtype=counts.dtype))).max()))
    parts = []
    for row, column in np.ndindex(size, size):
        count, x, y = int(counts[row, column]), MARGIN + CELL * column, CELL * row
        share = 0.0 if row == column else count / largest
        other = round(255 * (1 - share))
        parts.append(f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="rgb(255,{other},{other})"/>')
        if count:
            colour = MUTED if row == column else "#fff" if share > 0.5 else INK
            parts.append(_text(x + CELL / 2, y + CELL / 2 + 4, str(count), "middle", colour))
    side = CELL * size
    for index in range(size):
        parts.append(_text(MARGIN + CELL * (index + 0.5), side + 16, str(index), "middle"))
        parts.append(_text(MARGIN - 8, CELL * (index + 0.5) + 4, str(index), "end"))
    parts.append(_text(MARGIN + side / 2, side + 36, column_label, "middle"))
    parts.append(_text(12, side / 2, row_label, "middle"))
    return _svg(MARGIN + side, side + 44, parts)


def shares(series: Sequence[Series], x_label: str, title: str = "") -> str:
    """Lines with a dot at every point, over numbers; y from 0 to 1. Returns SVG."""
    known = [value for one in series for value in one.x]
    low, high = min(known), max(known)
    span = (high - low) or 1.0

    def place(x: float, share: float) -> tuple[float, float]:
        return LEFT + 10 + (WIDTH - LEFT - 30) * (x - low) / span, 30 + (HEIGHT - BOTTOM - 30) * (1 - share)

    parts = [_text(WIDTH / 2, 16, title, "middle")] if title else []
    for step in range(6):
        y = place(low, step / 5)[1]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d9e2ec"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{step / 5:.1f}", "end"))
    ticks = sorted({low, (low + high) / 2, high})
    parts += [_text(place(value, 0)[0], HEIGHT - BOTTOM + 18, f"{value:.3g}", "middle") for value in ticks]
    parts.append(_text((WIDTH + LEFT) / 2, HEIGHT - 4, x_label, "middle"))
    for index, one in enumerate(series):
        points = [place(x, share) for x, share in zip(one.x, one.shares, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{one.colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{one.colour}"/>' for x, y in points]
        if len(series) > 1:
            parts.append(_text(LEFT + 14, 40 + 18 * index, one.name, "start", one.colour, halo=True))
    return _svg(WIDTH, HEIGHT, parts)


def pictures(images: Sequence[np.ndarray], captions: Sequence[Sequence[str]], across: int) -> str:
    """Pictures in rows, with lines of text above each. Returns SVG.

    images: each (H, W) or (H, W, 3), bytes, as they are to be seen.
    """
    lines = max((len(caption) for caption in captions), default=0)
    height = PICTURE + LINE * lines + 10
    parts = []
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = (PICTURE + 10) * (index % across), height * (index // across)
        for number, words in enumerate(caption, start=1):
            parts.append(_text(x + PICTURE / 2, y + LINE * number - 2, words, "middle"))
        parts.append(
            f'<image x="{x}" y="{y + LINE * lines}" width="{PICTURE}" height="{PICTURE}" '
            f'style="image-rendering: pixelated" href="{data_address(png(image), "png")}"/>'
        )
    rows = max(1, -(-len(images) // across))
    return _svg((PICTURE + 10) * across, height * rows, parts)


def png(image: np.ndarray) -> bytes:
    """A picture (H, W) or (H, W, 3), bytes, as a PNG file."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(content, "png")
    return content.getvalue()


def sheet_with_captions(images: Sequence[np.ndarray], captions: Sequence[Sequence[str]], across: int) -> np.ndarray:
    """The same pictures as `pictures`, as one picture (H, W, 3) in bytes."""
    from PIL import Image, ImageDraw, ImageFont

    lines = max((len(caption) for caption in captions), default=0)
    height = PICTURE + LINE * lines + 10
    rows = max(1, -(-len(images) // across))
    whole = Image.new("RGB", ((PICTURE + 10) * across, height * rows), "white")
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(size=11)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = (PICTURE + 10) * (index % across), height * (index // across)
        for number, words in enumerate(caption):
            draw.text((x + PICTURE / 2, y + LINE * number), words, fill=INK, font=font, anchor="ma")
        enlarged = Image.fromarray(np.ascontiguousarray(image)).resize((PICTURE, PICTURE), Image.Resampling.NEAREST)
        whole.paste(enlarged, (x, y + LINE * lines))
    return np.asarray(whole)


def _text(x: float, y: float, words: str, anchor: str, colour: str = INK, halo: bool = False) -> str:
    """halo: whether the words are to be read where a line runs behind them."""
    behind = ' stroke="white" stroke-width="4" paint-order="stroke"' if halo else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{behind}>{escape(words)}</text>'


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    return f'<svg {size} role="img" font-family="system-ui, sans-serif" font-size="12">{"".join(parts)}</svg>'

"""Finds the printed lines of lined and squared paper: they are straight, thin, and run from edge to edge.

Lines are found as a Hough transform finds them, in strips across the picture: a line is where nearly every strip has
ink.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

THICKEST = 0.05
"""Thickness of a line, as a share of the picture's shorter side; a digit that fills a picture has thicker strokes."""
BROAD = 25.0
"""Levels of 255 from which ink that is thicker than a line is a stroke."""
STEEPEST = 0.16
"""Pixels sideways for each pixel along a line: nine degrees."""
STRIP = 8
"""Pixels along a line that are averaged."""
STEP = 4.0
"""Pixels between the ends of two slopes that are tried."""
STRIPS, ROWS = 24, 2
"""Strips at most, and rows that are taken together, for the first look."""
COVERED = 0.2
"""Quantile of the ink over a line's strips that tells it from a stroke: four fifths of the strips have as much."""
FAINTEST = 4.0
"""Levels of 255 that a line is darker than the paper, at least."""
SHARE = 0.35
"""Least share of the strongest line's ink that a line has."""
LEAST_INSIDE = 0.15
"""Share of a line that is in the picture; a line with less than half of it must resemble one with more."""
TRACINGS = 2
"""Times that a line's course is measured: at first its edge may lie outside the rows that are looked at."""
FRINGE = 0.04
"""Share of a line's ink that its blurred edge still has: rows with less are the paper beside it."""
AT_EDGE = 2
"""Columns at either side of the picture in which a line has ink."""
PRESENT = 0.3
"""Share of its usual ink that it has there, at least; not more, because a line along the edge passes for dark paper."""
SEGMENTS = 12
"""Parts of a line whose brightness is measured by itself, because light falls off."""
UNEVEN = 1.05
"""How much more ink a part of a line may have than light that falls off evenly gives it."""


class Line(NamedTuple):
    """A line across a picture. heights: (W,) its middle at each column. profile: (2 * reach + 1, W) its ink by row
    from the middle. reach: rows on either side that it may touch."""

    heights: np.ndarray
    profile: np.ndarray
    reach: int


def lines(ink: np.ndarray) -> list[Line]:
    """The lines across a picture (H, W) of ink, the strongest first; those down it are those of its transpose."""
    strips, middles = _strips(ink)
    traced = [_traced(ink, strips, middles, *found) for found in _straight(strips, middles, ink.shape[1])]
    return [line for line in traced if _reaches_edges(ink, line)]


def _reaches_edges(ink: np.ndarray, line: Line) -> bool:
    """Whether there is ink where the line leaves the picture at its sides: a digit's stroke ends before."""
    enough = PRESENT * np.median(line.profile.max(axis=0))
    for end in (slice(None, AT_EDGE), slice(-AT_EDGE, None)):
        rows = np.rint(line.heights[end].mean()).astype(int) + np.arange(-line.reach, line.reach + 1)
        if rows[0] >= 0 and rows[-1] < len(ink) and ink[rows, end].mean(axis=1).max() < enough:
            return False
    return True


def _strips(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, strips) of what is thin of the ink, averaged along the rows, and the strips' middle columns.

    Infinite where a broad stroke hides whether there is a line.
    """
    count = ink.shape[1] // STRIP
    strips = ink[:, : count * STRIP].reshape(len(ink), count, STRIP).mean(axis=2)
    window = round(THICKEST * min(ink.shape)) + 5
    eroded = windows(strips, window).min(axis=-1)
    broad = windows(eroded, window, mirrored=True).max(axis=-1)
    thin = np.where(broad > np.maximum(strips - broad, BROAD), np.inf, strips - broad)
    return thin, (np.arange(count) + 0.5) * STRIP - 0.5


def windows(picture: np.ndarray, size: int, mirrored: bool = False) -> np.ndarray:
    """(H, W, size): the values of `size` rows about each, 0 beyond the picture."""
    before = size // 2 if not mirrored else size - 1 - size // 2
    return sliding_window_view(np.pad(picture, ((before, size - 1 - before), (0, 0))), size, axis=0)


def _straight(strips: np.ndarray, middles: np.ndarray, width: int) -> list[tuple[float, float, int]]:
    """Lines as (height at the picture's middle, slope, half of the thickness), the strongest first."""
    some = np.unique(np.linspace(0, len(middles) - 1, STRIPS).round().astype(int))
    coarse = windows(strips[:, some], 2 * ROWS).max(axis=-1)[::ROWS]
    slopes = np.arange(-STEEPEST, STEEPEST + 1e-9, STEP / width)
    shifts = np.rint(slopes[:, None] * (middles[some] - width / 2) / ROWS).astype(int)
    edge = int(shifts.max()) + 1
    padded = np.pad(coarse, ((2 * edge, 2 * edge), (0, 0)), constant_values=np.inf)
    heights = np.arange(-edge, len(coarse) + edge)
    at = heights[:, None] + shifts[:, None] + 2 * edge
    levels = np.sort(padded[at, np.arange(len(some))], axis=-1)
    inside = np.isfinite(levels).sum(axis=-1)
    rank = (COVERED * inside).astype(int)
    response = np.take_along_axis(levels, rank[..., None], axis=-1)[..., 0]
    response[inside < LEAST_INSIDE * len(some)] = 0
    return [
        (ROWS * (heights[first] + heights[last]) / 2, slopes[slope], ROWS * (last - first) // 2)
        for slope, first, last in _peaks(response, inside / len(some), (heights >= 0) & (heights < len(coarse)))
    ]


def _peaks(response: np.ndarray, inside: np.ndarray, picture: np.ndarray) -> list[tuple[int, int, int]]:
    """The indices of each line's slope and of its first and last height.

    response, inside: (slopes, heights), of each line its ink and its share in the picture. picture: (heights,) bool,
    those of the picture itself.
    """
    whole = np.where(inside >= 0.5, response, 0)
    faintest = max(np.median(whole[:, picture].max(axis=0)) + FAINTEST, SHARE * float(whole.max()))
    # A line that is in the picture whole is told from one that merely begins as it does.
    score = np.where(response >= faintest, response * inside, 0)
    best, found = score.max(axis=0), []
    while best.max() > 0:
        height = int(best.argmax())
        slope = int(score[:, height].argmax())
        low = np.flatnonzero(response[slope] < response[slope, height] / 2)
        first = int(low[low < height].max(initial=-1)) + 1
        last = int(low[low > height].min(initial=len(best))) - 1
        found.append((slope, first, last))
        best[max(0, first - 2) : last + 3] = 0
    return _alike(found, inside)


def _alike(found: list[tuple[int, int, int]], inside: np.ndarray) -> list[tuple[int, int, int]]:
    """Without lines that are in the picture by less than half and are not as the others: they might be strokes."""
    whole = [line for line in found if inside[line[0], line[1]] >= 0.5]
    if len(whole) < 2:
        return whole
    slopes, heights = (np.array([line[index] for line in whole]) for index in (0, 1))
    bend = np.polyfit(heights, slopes, 1) if len(whole) > 2 else np.array([0.0, slopes.mean()])
    return whole + [line for line in found if line not in whole and abs(np.polyval(bend, line[1]) - line[0]) <= 3]


def _traced(ink: np.ndarray, strips: np.ndarray, middles: np.ndarray, height: float, slope: float, half: int) -> Line:
    """The line where it really runs, slightly bent, and its ink."""
    width = ink.shape[1]
    scale = (middles - width / 2) / width
    bend = np.zeros(3)
    for _ in range(TRACINGS):
        course = height + slope * (middles - width / 2) + np.polyval(bend, scale)
        offsets = np.arange(-half - 4, half + 5)
        rows = np.rint(course[:, None] + offsets).astype(int)
        seen = (rows.min(axis=1) >= 0) & (rows.max(axis=1) < len(ink))
        levels = strips[np.clip(rows, 0, len(ink) - 1), np.arange(len(middles))[:, None]]
        seen &= np.isfinite(levels).all(axis=1)
        levels = np.where(seen[:, None], levels, 0)
        weights = np.maximum(levels - levels.max(axis=1, keepdims=True) / 2, 0)
        moved = (weights * (rows - course[:, None])).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-6)
        bend = bend + _robust_fit(scale[seen], moved[seen])
    columns = np.arange(width)
    heights = height + slope * (columns - width / 2) + np.polyval(bend, (columns - width / 2) / width)
    return _with_profile(ink, heights, half)


def _robust_fit(places: np.ndarray, values: np.ndarray, degree: int = 2) -> np.ndarray:
    """A polynomial through values, of the least sum of absolute differences; of too few, zero."""
    if len(places) < 3 * degree + 2:
        return np.zeros(degree + 1)
    weights = np.ones(len(places))
    for _ in range(10):
        fit: np.ndarray = np.polyfit(places, values, degree, w=np.sqrt(weights))
        weights = 1 / np.maximum(np.abs(values - np.polyval(fit, places)), 0.25)
    return fit


def _with_profile(ink: np.ndarray, heights: np.ndarray, half: int) -> Line:
    reach = half + 5
    offsets = np.arange(-reach, reach + 1)
    rows = np.rint(heights + offsets[:, None]).astype(int)
    columns = np.arange(len(heights))
    inside = (rows >= 0) & (rows < len(ink))
    levels = np.where(inside, ink[np.clip(rows, 0, len(ink) - 1), columns], np.nan)
    whole = _median(levels)
    parts = np.array_split(columns, SEGMENTS)
    means = np.array([part.mean() for part in parts])
    by_part = np.array([_median(levels[:, part], whole) for part in parts])
    # A stroke along the line is no part of it: it differs from how the line's ink changes over the whole width.
    strengths = by_part.max(axis=1)
    evenly = np.polyval(_robust_fit(means / len(columns), strengths, degree=1), means / len(columns))
    by_part *= np.minimum(1, UNEVEN * evenly / np.maximum(strengths, 1e-6))[:, None]
    spread = windows(by_part.T, 3).max(axis=-1)
    profile = np.stack([np.interp(columns, means, row) for row in spread]).astype(np.float32)
    wide = np.flatnonzero(whole > max(FRINGE * whole.max(), 2.0))
    return Line(heights, profile, int(np.abs(offsets[wide]).max(initial=1)))


def _median(levels: np.ndarray, otherwise: np.ndarray | float = 0.0) -> np.ndarray:
    """The median of each row's numbers; `otherwise` where a row has none."""
    # As numpy's nanmedian, which takes a third of the whole time here.
    counts = np.isfinite(levels).sum(axis=1)
    ordered, rows = np.sort(levels, axis=1), np.arange(len(levels))
    low, high = np.maximum(counts - 1, 0) // 2, counts // 2
    found: np.ndarray = (ordered[rows, low] + ordered[rows, high]) / 2
    return np.where(counts > 0, found, otherwise)

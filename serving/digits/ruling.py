"""Takes the printed lines off lined and squared paper: they are straight, thin, and run from edge to edge.

Lines are found as a Hough transform finds them, in strips across the picture: a line is where nearly every strip has
ink. Digits are not removed with them: what is darker than the lines stays, and where a line was the ink on both of its
sides is joined (as staff lines are removed from scores, Dalitz et al. 2008).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from serving.digits.marks import Box

LEAST_SIDE = 96
"""Pixels of the shorter side below which no lines are looked for: a digit's strokes may be as thin and as long."""
THICKEST = 0.035
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
DARKER = 0.3
"""Share by which a digit's ink is darker than the line that it covers."""
NOISES = 3.0
"""Standard deviations of the noise that the difference is, at least."""
RECTIFIED = 0.4
"""Median difference of neighbours under normal noise of which the negative half is cut off, in standard deviations."""
SEGMENTS = 6
"""Parts of a line whose brightness is measured by itself, because light falls off."""


class Line(NamedTuple):
    """A line across a picture. heights: (W,) its middle at each column. profile: (2 * reach + 1, W) its ink by row
    from the middle. reach: rows on either side that it may touch."""

    heights: np.ndarray
    profile: np.ndarray
    reach: int


def without_lines(ink: np.ndarray) -> tuple[np.ndarray, bool]:
    """Ink (H, W) float32, 0 paper to 255, without the lines of lined or squared paper, and whether it had any."""
    if min(ink.shape) < LEAST_SIDE:
        return ink, False
    across, down = lines(ink), lines(np.ascontiguousarray(ink.T))
    cleaned = _cleaned(ink, across, down) if across or down else ink
    # A single line is one of the paper's if a digit is left, and away from the edges: one that is cut out closely would
    # lose its own longest stroke.
    ruled = max(len(across), len(down)) > 1 or ((across or down) and _away_from_edges(cleaned))
    return (cleaned, True) if ruled else (ink, False)


def is_sliver(box: Box, shape: tuple[int, ...]) -> bool:
    """Whether a mark may be what is left of a line that crosses a corner of the picture (H, W)."""
    at_edge = min(box.left, box.top) <= 1 or box.right >= shape[1] - 1 or box.bottom >= shape[0] - 1
    return at_edge and min(box.right - box.left, box.bottom - box.top) <= THICKEST * min(shape)


def _away_from_edges(ink: np.ndarray) -> bool:
    inked = ink > max(BROAD, ink.max() / 2)
    inside = inked[2:-2, 2:-2].sum()
    return bool(0 < inside == inked.sum())


def _cleaned(ink: np.ndarray, across: list[Line], down: list[Line]) -> np.ndarray:
    printed = drawn(across, ink.shape) + drawn(down, ink.shape[::-1]).T
    darker = ink > (1 + DARKER) * printed + max(FAINTEST, NOISES * noise(ink))
    cleaned = filled(ink, across, darker)
    cleaned = np.ascontiguousarray(filled(np.ascontiguousarray(cleaned.T), down, darker.T).T)
    # A digit has ink beside the lines too: what is left of bare paper's lines is no stronger than noise.
    strongest = float(cleaned[printed == 0].max(initial=0))
    bounded: np.ndarray = np.minimum(cleaned, strongest)
    return bounded


def noise(ink: np.ndarray) -> float:
    """Its standard deviation, of pixels that differ from their neighbours by noise alone, half of it cut off at 0."""
    return float(np.median(np.abs(np.diff(ink, axis=1)))) / RECTIFIED


def lines(ink: np.ndarray) -> list[Line]:
    """The lines across a picture (H, W) of ink, the strongest first; those down it are those of its transpose."""
    strips, middles = _strips(ink)
    return [_traced(ink, strips, middles, *found) for found in _straight(strips, middles, ink.shape[1])]


def drawn(lines: list[Line], shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) float32: the ink of the lines alone, at most."""
    picture = np.zeros(shape, np.float32)
    for line in lines:
        rows, inside = _rows(line, shape[0])
        offsets = np.rint(rows - line.heights).astype(int) + len(line.profile) // 2
        columns = np.broadcast_to(np.arange(shape[1]), rows.shape)
        levels = line.profile[np.clip(offsets, 0, len(line.profile) - 1), columns]
        picture[rows[inside], columns[inside]] = np.maximum(picture[rows[inside], columns[inside]], levels[inside])
    return picture


def filled(ink: np.ndarray, lines: list[Line], kept: np.ndarray) -> np.ndarray:
    """The picture (H, W) with each line's rows drawn anew, from the ink above it to the ink below it.

    kept: (H, W) bool, pixels that stay as they are.
    """
    cleaned = ink.copy()
    last = ink.shape[0] - 1
    for line in lines:
        rows, inside = _rows(line, ink.shape[0])
        columns = np.broadcast_to(np.arange(ink.shape[1]), rows.shape)
        above, below = rows[0] - 1, rows[-1] + 1
        over = np.where(above >= 0, cleaned[np.clip(above, 0, last), columns[0]], 0)
        under = np.where(below <= last, cleaned[np.clip(below, 0, last), columns[0]], 0)
        share = (rows - above) / (below - above)
        values = over + (under - over) * share
        inside &= ~kept[np.clip(rows, 0, last), columns]
        cleaned[rows[inside], columns[inside]] = values[inside]
    return cleaned


def _strips(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, strips) of what is thin of the ink, averaged along the rows, and the strips' middle columns.

    Infinite where a broad stroke hides whether there is a line.
    """
    count = ink.shape[1] // STRIP
    strips = ink[:, : count * STRIP].reshape(len(ink), count, STRIP).mean(axis=2)
    window = round(THICKEST * min(ink.shape)) + 5
    eroded = _windows(strips, window).min(axis=-1)
    broad = _windows(eroded, window, mirrored=True).max(axis=-1)
    thin = np.where(broad > np.maximum(strips - broad, BROAD), np.inf, strips - broad)
    return thin, (np.arange(count) + 0.5) * STRIP - 0.5


def _windows(picture: np.ndarray, size: int, mirrored: bool = False) -> np.ndarray:
    """(H, W, size): the values of `size` rows about each, 0 beyond the picture."""
    before = size // 2 if not mirrored else size - 1 - size // 2
    return sliding_window_view(np.pad(picture, ((before, size - 1 - before), (0, 0))), size, axis=0)


def _straight(strips: np.ndarray, middles: np.ndarray, width: int) -> list[tuple[float, float, int]]:
    """Lines as (height at the picture's middle, slope, half of the thickness), the strongest first."""
    some = np.unique(np.linspace(0, len(middles) - 1, STRIPS).round().astype(int))
    coarse = _windows(strips[:, some], 2 * ROWS).max(axis=-1)[::ROWS]
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
    straight = height + slope * (middles - width / 2)
    offsets = np.arange(-half - 4, half + 5)
    rows = np.rint(straight[:, None] + offsets).astype(int)
    seen = (rows.min(axis=1) >= 0) & (rows.max(axis=1) < len(ink))
    levels = strips[np.clip(rows, 0, len(ink) - 1), np.arange(len(middles))[:, None]]
    seen &= np.isfinite(levels).all(axis=1)
    levels = np.where(seen[:, None], levels, 0)
    weights = np.maximum(levels - levels.max(axis=1, keepdims=True) / 2, 0)
    moved = (weights * (rows - straight[:, None])).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-6)
    scale = (middles - width / 2) / width
    bend = _robust_fit(scale[seen], moved[seen])
    columns = np.arange(width)
    heights = height + slope * (columns - width / 2) + np.polyval(bend, (columns - width / 2) / width)
    return _with_profile(ink, heights, half)


def _robust_fit(places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A parabola through values, of the least sum of absolute differences; of too few, zero."""
    if len(places) < 8:
        return np.zeros(3)
    weights = np.ones(len(places))
    for _ in range(10):
        fit: np.ndarray = np.polyfit(places, values, 2, w=np.sqrt(weights))
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
    by_part = [np.minimum(_median(levels[:, part], whole), 1.5 * whole) for part in parts]
    spread = _windows(np.transpose(by_part), 3).max(axis=-1)
    profile = np.stack([np.interp(columns, means, row) for row in spread]).astype(np.float32)
    wide = np.flatnonzero(whole > max(0.1 * whole.max(), 2.0))
    return Line(heights, profile, int(np.abs(offsets[wide]).max(initial=1)))


def _median(levels: np.ndarray, otherwise: np.ndarray | float = 0.0) -> np.ndarray:
    """The median of each row's numbers; `otherwise` where a row has none."""
    known = np.isfinite(levels).any(axis=1)
    found: np.ndarray = np.nanmedian(np.where(known[:, None], levels, 0), axis=1)
    return np.where(known, found, otherwise)


def _rows(line: Line, height: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, W) that the line may touch, at each column, and which of them are in the picture."""
    rows = np.rint(line.heights).astype(int) + np.arange(-line.reach, line.reach + 1)[:, None]
    return rows, (rows >= 0) & (rows < height)

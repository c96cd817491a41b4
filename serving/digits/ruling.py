"""Takes the printed lines off lined and squared paper.

Digits are not removed with them: what is darker than the lines stays, and where a line was the ink on both of its sides
is joined (as staff lines are removed from scores, Dalitz et al. 2008), also where a stroke crosses it at a slant.
"""

from __future__ import annotations

import numpy as np

from serving.digits.marks import SMALLEST, boxes, connected, dilated
from serving.digits.printed_lines import BROAD, FAINTEST, STEEPEST, THICKEST, Line, lines, windows

LEAST_SIDE = 96
"""Pixels of the shorter side below which no lines are looked for: a digit's strokes may be as thin and as long."""
DARKER = 0.08
"""Share by which a digit's ink is darker than the line that it covers, at least."""
NOISES = 2.0
"""Standard deviations of the noise that the difference is, at least, as a mean of 3 x 3 pixels: noise has a third."""
RECTIFIED = 0.4
"""Median difference of neighbours under normal noise of which the negative half is cut off, in standard deviations."""
SLANTED = 1.5
"""Columns that a stroke may be shifted by where it crosses a line, for each row of the line."""
CRUMBS = 3
"""Pixels around each part of what is left of a line within which the next part lies."""


def without_lines(ink: np.ndarray) -> tuple[np.ndarray, float]:
    """Ink (H, W) float32, 0 paper to 255, without the lines of lined or squared paper, and the lines' strongest ink.

    The second is 0 where there are none.
    """
    if min(ink.shape) < LEAST_SIDE:
        return ink, 0.0
    across, down = lines(ink), lines(np.ascontiguousarray(ink.T))
    if not across and not down:
        return ink, 0.0
    cleaned = _cleaned(ink, across, down)
    # A single line is one of the paper's if a digit is left, and away from the edges: one that is cut out closely would
    # lose its own longest stroke.
    ruled = max(len(across), len(down)) > 1 or _away_from_edges(cleaned)
    return (cleaned, max(float(line.profile.max()) for line in across + down)) if ruled else (ink, 0.0)


def without_slivers(mask: np.ndarray) -> np.ndarray:
    """A mask (H, W) of ink without what may be left of lines that cross the picture's corners.

    Such a part touches the picture's edge, is straight and as thin as a line, and runs as steeply as a line may.
    """
    labels = connected(dilated(dilated(mask, CRUMBS).T, CRUMBS).T) * mask
    found = [
        label
        for label, box in enumerate(boxes(labels), 1)
        if box.side >= SMALLEST * max(mask.shape)
        and (min(box.left, box.top) <= 1 or box.right >= mask.shape[1] - 1 or box.bottom >= mask.shape[0] - 1)
        and _thin(labels[box.top : box.bottom, box.left : box.right] == label, THICKEST * min(mask.shape))
    ]
    kept: np.ndarray = mask & ~np.isin(labels, found)
    return kept


def _thin(part: np.ndarray, thickest: float) -> bool:
    along, across = np.nonzero(part)
    if part.shape[1] > part.shape[0]:
        along, across = across, along
    slope = np.clip(np.polyfit(along, across, 1)[0], -STEEPEST, STEEPEST) if np.ptp(along) else 0.0
    return bool(np.ptp(across - slope * along) <= thickest)


def _away_from_edges(ink: np.ndarray) -> bool:
    inked = ink > max(BROAD, ink.max() / 2)
    inside = inked[2:-2, 2:-2].sum()
    return bool(0 < inside == inked.sum())


def _cleaned(ink: np.ndarray, across: list[Line], down: list[Line]) -> np.ndarray:
    printed = _drawn(across, ink.shape) + _drawn(down, ink.shape[::-1]).T
    darker = _smoothed(ink - (1 + DARKER) * printed) > max(FAINTEST, NOISES * _noise(ink))
    cleaned = _filled(ink, across, darker)
    cleaned = np.ascontiguousarray(_filled(np.ascontiguousarray(cleaned.T), down, darker.T).T)
    # A digit has ink beside the lines too: what is left of bare paper's lines is no stronger than noise.
    strongest = float(cleaned[printed == 0].max(initial=0))
    bounded: np.ndarray = np.minimum(cleaned, strongest)
    return bounded


def _smoothed(values: np.ndarray) -> np.ndarray:
    """The mean (H, W) of each value and its eight neighbours."""
    padded = np.pad(values, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    mean: np.ndarray = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9
    return mean


def _noise(ink: np.ndarray) -> float:
    """Its standard deviation, of pixels that differ from their neighbours by noise alone, half of it cut off at 0."""
    return float(np.median(np.abs(np.diff(ink, axis=1)))) / RECTIFIED


def _drawn(lines: list[Line], shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) float32: the ink of the lines alone, at most."""
    picture = np.zeros(shape, np.float32)
    for line in lines:
        rows, inside = _rows(line, shape[0])
        offsets = np.rint(rows - line.heights).astype(int) + len(line.profile) // 2
        columns = np.broadcast_to(np.arange(shape[1]), rows.shape)
        levels = line.profile[np.clip(offsets, 0, len(line.profile) - 1), columns]
        picture[rows[inside], columns[inside]] = np.maximum(picture[rows[inside], columns[inside]], levels[inside])
    return picture


def _filled(ink: np.ndarray, lines: list[Line], kept: np.ndarray) -> np.ndarray:
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
        values = np.maximum(over + (under - over) * share, _joined(over, under, share[:, 0]))
        inside &= ~kept[np.clip(rows, 0, last), columns]
        cleaned[rows[inside], columns[inside]] = values[inside]
    return cleaned


def _joined(over: np.ndarray, under: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(rows, W) of ink: strokes that leave a line on both sides, also at a slant.

    over, under: (W,) the ink above the line and below it. shares: (rows,) how far down in the line a row is, 0 to 1.
    """
    values = np.zeros((len(shares), len(over)), np.float32)
    reach = round(SLANTED * len(shares))
    # Fainter than a stroke, it might be noise: the strongest of many pairs of noise would be ink.
    inked = np.flatnonzero(np.minimum(_spread(over, reach), _spread(under, reach)) > BROAD)
    if not len(inked):
        return values
    padded_over, padded_under = (np.pad(side, 2 * reach) for side in (over, under))
    for shift in range(-reach, reach + 1):
        from_over = inked + 2 * reach - np.rint(shift * shares).astype(int)[:, None]
        pair = np.minimum(padded_over[from_over], padded_under[from_over + shift])
        values[:, inked] = np.maximum(values[:, inked], pair)
    values[values <= BROAD] = 0
    return values


def _spread(values: np.ndarray, reach: int) -> np.ndarray:
    """(W,): the largest of the values (W,) that are no farther than `reach` from each."""
    found: np.ndarray = windows(values[:, None], 2 * reach + 1).max(axis=-1)[:, 0]
    return found


def _rows(line: Line, height: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, W) that the line may touch, at each column, and which of them are in the picture."""
    rows = np.rint(line.heights).astype(int) + np.arange(-line.reach, line.reach + 1)[:, None]
    return rows, (rows >= 0) & (rows < height)

"""The line and the speeds at which a track is driven fast: what the privileged expert knows and pixels do not say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.datasets.driving.params import Line

SPACING = 1.0
"""Metres between two points of a line."""
SWEEPS = 30
"""Most changes of the set of points that lie on the edge; a dozen settle it."""


@dataclass(frozen=True)
class RacingLine:
    """A closed line. points: (N, 2) metres, SPACING apart.  curvature: (N,) 1/m, left positive.  speed: (N,) m/s."""

    points: np.ndarray
    curvature: np.ndarray
    speed: np.ndarray

    def nearest(self, position: np.ndarray, around: int | None, reach: int = 40) -> int:
        """The index of the point nearest to `position` (2,); searched `reach` points to both sides of `around`."""
        count = len(self.points)
        places = np.arange(count) if around is None else np.arange(around - reach, around + reach) % count
        offsets = self.points[places] - position
        squares = (offsets**2).sum(axis=1)
        best = int(squares.argmin())
        if around is not None and squares[best] > reach**2:
            return self.nearest(position, None)
        return int(places[best])


def racing_line(track: np.ndarray, half_width: float, params: Line) -> RacingLine:
    """The line of least curvature inside a closed track.

    track: (M, 3) direction in radians, x, y of the middle, as CarRacing makes it; the left of the direction of travel
    is (-cos, -sin).  half_width: metres from the middle to the edge.
    """
    normals = np.stack([np.cos(track[:, 0]), np.sin(track[:, 0])], axis=1)
    middle = track[:, 1:]
    offsets = _least_curvature(middle, normals, half_width - params.margin, params.shortness)
    points = _even(middle + offsets[:, None] * normals)
    curvature = _smooth(_curvature(points), params.smoothing)
    return RacingLine(points, curvature, _speeds(np.abs(curvature), params))


def _least_curvature(middle: np.ndarray, normals: np.ndarray, bound: float, shortness: float) -> np.ndarray:
    """Offsets (M,) along the normals, at most `bound`, that minimise |second differences|^2 + shortness |first|^2.

    A quadratic programme with bounds, solved by a primal-dual active set (Bergounioux, Ito and Kunisch 1999).
    """
    count = len(middle)
    shift = np.roll(np.eye(count), -1, axis=1)
    second, first = shift + shift.T - 2 * np.eye(count), shift - np.eye(count)
    form = second.T @ second + shortness * first.T @ first
    matrix = sum(normals[:, axis, None] * form * normals[None, :, axis] for axis in (0, 1))
    matrix = matrix + 1e-6 * np.eye(count)
    linear = (normals * (form @ middle)).sum(axis=1)
    offsets, dual = np.zeros(count), np.zeros(count)
    active = np.zeros(count, int)
    for _ in range(SWEEPS):
        free = active == 0
        offsets = bound * active.astype(float)
        right = -(linear + matrix @ offsets)
        offsets[free] = np.linalg.solve(matrix[np.ix_(free, free)], right[free])
        dual = -(linear + matrix @ offsets)
        dual[free] = 0.0
        found = (dual + offsets > bound).astype(int) - (dual + offsets < -bound).astype(int)
        if (found == active).all():
            break
        active = found
    return np.clip(offsets, -bound, bound)


def _even(points: np.ndarray) -> np.ndarray:
    """The closed polyline, drawn again with points SPACING apart (a little less, so that it closes)."""
    closed = np.concatenate([points, points[:1]])
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    places = np.linspace(0, way[-1], int(np.ceil(way[-1] / SPACING)), endpoint=False)
    return np.stack([np.interp(places, way, closed[:, axis]) for axis in (0, 1)], axis=1)


def _curvature(points: np.ndarray) -> np.ndarray:
    steps = np.roll(points, -1, axis=0) - points
    headings = np.arctan2(steps[:, 1], steps[:, 0])
    turns = (headings - np.roll(headings, 1) + np.pi) % (2 * np.pi) - np.pi
    return np.asarray(turns / np.hypot(*steps.T))


def _smooth(values: np.ndarray, reach: int) -> np.ndarray:
    """The mean over `reach` points to both sides, twice (a triangular window)."""
    for _ in range(2):
        values = np.asarray(np.mean([np.roll(values, shift) for shift in range(-reach, reach + 1)], axis=0))
    return values


def _speeds(curvature: np.ndarray, params: Line) -> np.ndarray:
    """The highest speeds (N,) within the grip in bends, and within braking and acceleration between them."""
    speed: np.ndarray = np.minimum(params.top_speed, np.sqrt(params.grip / np.maximum(curvature, 1e-6)))
    for order, rate in ((-1, params.braking), (1, params.acceleration)):
        for index in range(2 * len(speed)):  # twice around, so that the end knows of the start
            here = (index * order) % len(speed)
            before = (here - order) % len(speed)
            speed[here] = min(speed[here], np.sqrt(speed[before] ** 2 + 2 * rate * SPACING))
    return speed

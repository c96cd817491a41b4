"""A driver that reads the simulator's state: it follows the racing line by pure pursuit. The network's teacher."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.envs.box2d.car_racing import TRACK_WIDTH

from components.datasets.driving.line_reader import SPACING, RacingLine, racing_line
from components.datasets.driving.params import Expert as ExpertParams

LEAST_EASED = 0.2
"""Share of the gas that is left however far the wheels are turned: a car that stands must not stay there."""
FULL_LOCK = 0.4
"""Largest angle of the front wheels, radians."""
STANDING = 5.0
"""m/s below which the direction of motion says nothing."""
TURNING_CIRCLE = 5.0
"""Metres."""
WHEELBASE = 162 * 0.02
"""Metres between the axles, from gymnasium's car_dynamics.WHEELPOS and SIZE."""


class Expert:
    """Actions for one episode: made after the reset, asked at every decision."""

    def __init__(self, track: Any, params: ExpertParams) -> None:
        """track: CarRacing's own list of (alpha, beta, x, y)."""
        self.params = params
        self.line: RacingLine = racing_line(np.asarray(track, float)[:, 1:], TRACK_WIDTH, params.line)
        self._place: int | None = None

    def act(self, car: Any) -> np.ndarray:
        """(3,) steering -1 to 1 (right positive), gas 0 to 1, brake 0 to 1, for the car as it stands."""
        params, line = self.params, self.line
        velocity = np.array(car.hull.linearVelocity, float)
        angle, turning = float(car.hull.angle), float(car.hull.angularVelocity)
        speed = float(np.hypot(*velocity))
        # The wheels turn slowly and the action is held: steer for where the car will be.
        position = np.array(car.hull.position, float) + velocity * params.delay
        nose = _direction(angle + turning * params.delay)
        motion = _turned(velocity / speed, turning * params.delay) if speed > STANDING else nose
        self._place = place = line.nearest(position, self._place)
        reach = params.lookahead + params.lookahead_time * speed
        target = line.points[(place + round(reach / SPACING)) % len(line.points)] - position
        bearing = _angle((1 - params.slip) * nose + params.slip * motion, target)
        curvature = 2 * np.sin(bearing) / max(float(np.hypot(*target)), 1.0)
        if abs(bearing) > np.pi / 2:  # the line lies behind: turn around
            curvature = np.sign(bearing) / TURNING_CIRCLE
        wheel = float(np.arctan(WHEELBASE * curvature) + params.damping * (speed * curvature - turning))
        off = float(np.hypot(*(line.points[place] - position))) - params.strayed
        wanted = float(line.speed[(place + round(params.speed_time * speed / SPACING)) % len(line.speed)])
        if off > 0 or abs(bearing) > params.lost:
            wanted = min(wanted, max(params.recovery_speed, wanted - params.caution * max(off, 0)))
        sideways = abs(_angle(nose, motion))
        grip = max(0.0, 1 - sideways / params.sliding) if speed > params.recovery_speed / 2 else 1.0
        return np.array([-np.clip(wheel / FULL_LOCK, -1, 1), *self._pedals(wanted - speed, wheel, grip)])

    def _pedals(self, error: float, wheel: float, grip: float) -> tuple[float, float]:
        """Gas and brake. error: m/s too slow.  wheel: angle in radians.  grip: share of the gas that a slide leaves."""
        params = self.params
        if error < -params.tolerance:
            return 0.0, float(np.clip(-(error + params.tolerance) * params.brake_gain, 0, params.brake))
        gas = float(np.clip(error * params.gas_gain, 0, params.gas))
        return gas * grip * max(LEAST_EASED, 1 - params.easing * abs(wheel)), 0.0


def _direction(angle: float) -> np.ndarray:
    """The unit vector in which a car at this angle points."""
    return np.array([-np.sin(angle), np.cos(angle)])


def _turned(vector: np.ndarray, angle: float) -> np.ndarray:
    """The vector (2,), turned to the left by a small angle."""
    return np.array([vector[0] - angle * vector[1], vector[1] + angle * vector[0]])


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    """From the first vector to the second, radians, positive to the left."""
    return float(np.arctan2(first[0] * second[1] - first[1] * second[0], first @ second))

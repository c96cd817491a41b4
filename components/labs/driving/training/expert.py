"""A driver that reads the simulator's state: it follows the racing line by pure pursuit. The network's teacher."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.envs.box2d.car_racing import TRACK_WIDTH

from components.labs.driving.params import Expert as ExpertParams
from components.labs.driving.training.racing_line import SPACING, RacingLine, racing_line

LEAST_EASED = 0.2
"""Share of the gas that is left however far the wheels are turned: a car that stands must not stay there."""
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
        angle += turning * params.delay
        self._place = place = line.nearest(position, self._place)
        reach = params.lookahead + params.lookahead_time * speed
        target = line.points[(place + round(reach / SPACING)) % len(line.points)] - position
        heading = np.array([-np.sin(angle), np.cos(angle)])
        if speed > 5.0:
            way = velocity / speed
            turned = turning * params.delay
            way = np.array([way[0] - turned * way[1], way[1] + turned * way[0]])
            heading = (1 - params.slip) * heading + params.slip * way
        bearing = np.arctan2(heading[0] * target[1] - heading[1] * target[0], heading @ target)
        curvature = 2 * np.sin(bearing) / max(float(np.hypot(*target)), 1.0)
        if abs(bearing) > np.pi / 2:  # the line lies behind: turn around
            curvature = np.sign(bearing) / 5.0
        wanted = speed * curvature
        wheel = np.arctan(WHEELBASE * curvature) + params.damping * (wanted - turning)
        return np.array([-np.clip(wheel / 0.4, -1, 1), *self._pedals(place, speed, wheel)])

    def _pedals(self, place: int, speed: float, wheel: float) -> tuple[float, float]:
        params, line = self.params, self.line
        ahead = round(params.speed_time * speed / SPACING)
        wanted = float(line.speed[(place + ahead) % len(line.speed)])
        error = wanted - speed
        if error < -params.tolerance:
            return 0.0, float(np.clip(-(error + params.tolerance) * params.brake_gain, 0, params.brake))
        gas = np.clip(error * params.gas_gain, 0, params.gas)
        return float(gas * max(LEAST_EASED, 1 - params.easing * abs(wheel))), 0.0

"""From raw observations to the numbers that networks take: fixed operations, which export puts into the graph."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from components.datasets.environments.reader import Environment
from components.errors import UserError
from components.families.agents.params import Train


class Preprocessing(nn.Module):
    """unit: what a raw observation's numbers are measured in, (N,) or (1,) of all; noise is a share of it."""

    unit: Tensor

    def __init__(self, unit: Sequence[float], size: int) -> None:
        """size: how many numbers it gives."""
        super().__init__()
        self.register_buffer("unit", torch.tensor(list(unit)))
        self.size = size

    @abstractmethod
    def forward(self, observations: Tensor) -> Tensor:
        """(B, size) float32 of raw observations (B, ...)."""

    def disturbed(self, observations: Tensor, noise: float, generator: torch.Generator) -> Tensor:
        """Observations with Gaussian noise: `noise` is its standard deviation, as a share of the unit."""
        moved = observations + noise * self.unit * torch.randn(observations.shape, generator=generator).to(self.unit)
        if observations.is_floating_point():
            return moved
        return moved.round().clamp(0, 255).to(observations.dtype)


class Scaled(Preprocessing):
    """Observations that are a few numbers: each is divided by its unit, so that it is about 1."""

    def __init__(self, unit: Sequence[float]) -> None:
        super().__init__(unit, len(unit))

    def forward(self, observations: Tensor) -> Tensor:
        return observations / self.unit


class PongPositions(Preprocessing):
    """Where the ball and the paddles of Pong are, and how fast they move, of grey frames (B, frames, 210, 160) uint8.

    Nothing of this is learnt: the ball is what is white on the field, a paddle what is brighter than the field in its
    columns. A position is the centre of the rows or columns with such a pixel, from -1 to 1 over the field; a speed is
    its change from one frame to the next.
    """

    FIELD = slice(34, 194)
    """Rows between the walls."""
    BETWEEN = slice(20, 140)
    """Columns between the paddles."""
    THEIRS, OURS = slice(16, 20), slice(140, 144)
    """Columns of the paddles."""
    BALL, PADDLE = 190, 118
    """Grey levels that they exceed: the field has 87, paddles 147 and 148, the ball 236."""
    SPEED = 8.0
    """What speeds are multiplied by, so that they are about 1."""

    rows: Tensor
    columns: Tensor

    def __init__(self, unit: Sequence[float], frames: int) -> None:
        super().__init__(unit, 5 * frames + 4 * (frames - 1))
        rows, columns = (part.stop - part.start for part in (self.FIELD, self.BETWEEN))
        self.register_buffer("rows", torch.linspace(-1, 1, rows), persistent=False)
        self.register_buffer("columns", torch.linspace(-1, 1, columns), persistent=False)

    def forward(self, observations: Tensor) -> Tensor:
        field = observations[:, :, self.FIELD]
        between = field[..., self.BETWEEN]
        # The ball is two columns wide and four rows high: it hides in no gap between those that are looked at.
        across, down = between[:, :, ::4].amax(2) > self.BALL, between[..., ::2].amax(3) > self.BALL
        paddles = [field[..., columns].amax(3) > self.PADDLE for columns in (self.OURS, self.THEIRS)]
        found = [_centre(across, self.columns), *(_centre(each, self.rows) for each in (down, *paddles))]
        places = torch.stack(found, 2)
        seen = across.any(2) & down.any(2)
        # A ball that appears or disappears has no speed.
        both = (seen[:, 1:] & seen[:, :-1])[..., None]
        moves = torch.cat([both, both, torch.ones_like(both), torch.ones_like(both)], 2)
        speeds = self.SPEED * (places[:, 1:] - places[:, :-1]) * moves
        return torch.cat([places.flatten(1), seen.float(), speeds.flatten(1)], 1)


def _centre(found: Tensor, places: Tensor) -> Tensor:
    """(B, frames) mean of the places (P,) that were found (B, frames, P); 0 where there are none."""
    return found.float() @ places / found.sum(2).clamp(min=1)


def preprocessing(environment: Environment, params: Train) -> Preprocessing:
    """What `train.preprocessing` names. Raises UserError where it cannot take the environment's observations."""
    shape, unit = environment.observation_shape, params.observation_unit
    if params.preprocessing == "pong_positions":
        if shape[1:] != (210, 160) or environment.observation_dtype != "uint8" or len(unit) != 1:
            raise UserError(
                "train.preprocessing is pong_positions, which takes grey frames of 210 x 160 bytes and one "
                f"observation_unit; an observation of {environment.name} is {shape} {environment.observation_dtype}"
            )
        return PongPositions(unit, shape[0])
    if shape != (len(unit),):
        raise UserError(
            f"train.observation_unit has {len(unit)} numbers, and an observation of {environment.name} is of shape "
            f"{shape}"
        )
    return Scaled(unit)

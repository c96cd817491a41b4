"""The predictive distribution: a mixture of Student-t components, and how likely it makes a target."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import special


class Mixture(NamedTuple):
    """Equally weighted Student-t components of each row. All (N, C); C components."""

    location: np.ndarray
    scale: np.ndarray
    freedom: np.ndarray

    def widened(self, factor: float) -> Mixture:
        """The same shape, `factor` times as wide about its mean."""
        mean = self.location.mean(axis=1, keepdims=True)
        return Mixture(mean + factor * (self.location - mean), factor * self.scale, self.freedom)


def negative_log_likelihood(mixture: Mixture, target: np.ndarray) -> np.ndarray:
    """(N,) nats, of target (N,) in the mixture's unit."""
    location, scale, freedom = (each.astype(np.float64) for each in mixture)
    z = (target[:, None] - location) / scale
    density = (
        special.gammaln((freedom + 1) / 2)
        - special.gammaln(freedom / 2)
        - np.log(freedom * math.pi) / 2
        - np.log(scale)
        - (freedom + 1) / 2 * np.log1p(z**2 / freedom)
    )
    found: np.ndarray = math.log(density.shape[1]) - special.logsumexp(density, axis=1)
    return found

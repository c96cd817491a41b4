"""What the last layer's numbers mean, and the loss that teaches them: normal-inverse-gamma, or Gaussian."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

FLOOR = 1e-3
"""Added to what softplus gives, so that no scale is zero."""


class Components(NamedTuple):
    """Predicted distributions of a standardised target, each of one shape.

    freedom: degrees of freedom of Student's t; infinite for a Gaussian.
    claimed: standard deviation of the mean as the network claims it (evidential); zero for a Gaussian.
    """

    location: Tensor
    scale: Tensor
    freedom: Tensor
    claimed: Tensor


def outputs(method: str) -> int:
    """Numbers that a network's last layer gives for one row."""
    return 4 if method == "evidential" else 2


def components(raw: Tensor, method: str, min_alpha: Tensor | float) -> Components:
    """raw: (..., outputs). Amini et al. 2020, eq. 7: the marginal of a normal-inverse-gamma is a Student-t."""
    if method != "evidential":
        location, scale = raw[..., 0], functional.softplus(raw[..., 1]) + FLOOR
        return Components(location, scale, torch.full_like(scale, math.inf), torch.zeros_like(scale))
    location, nu, alpha, beta = evidence(raw, min_alpha)
    scale = torch.sqrt(beta * (1 + nu) / (nu * alpha))
    return Components(location, scale, 2 * alpha, torch.sqrt(beta / (nu * (alpha - 1))))


def evidence(raw: Tensor, min_alpha: Tensor | float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """gamma, nu, alpha, beta of a normal-inverse-gamma from (..., 4)."""
    nu, alpha, beta = (functional.softplus(raw[..., index]) + FLOOR for index in (1, 2, 3))
    return raw[..., 0], nu, min_alpha + alpha, beta


def loss(
    raw: Tensor, target: Tensor, method: str, penalty: Tensor | float, min_alpha: float, scale_weight: float
) -> Tensor:
    """Loss of every row, of target's shape. raw: (..., outputs). penalty: broadcast over rows.

    The negative log-likelihood is weighted by the detached scale to the power `scale_weight`: without it, rows that
    are predicted badly early get a large scale, hence small gradients, and stay bad (Seitzer et al. 2022).
    """
    if method != "evidential":
        found = components(raw, method, min_alpha)
        nll = torch.log(found.scale) + ((target - found.location) / found.scale) ** 2 / 2 + math.log(2 * math.pi) / 2
        return nll * found.scale.detach() ** scale_weight
    gamma, nu, alpha, beta = evidence(raw, min_alpha)
    omega = 2 * beta * (1 + nu)
    error = target - gamma
    nll = (
        torch.log(math.pi / nu) / 2
        - alpha * torch.log(omega)
        + (alpha + 0.5) * torch.log(error**2 * nu + omega)
        + torch.lgamma(alpha)
        - torch.lgamma(alpha + 0.5)
    )
    scale = torch.sqrt(beta * (1 + nu) / (nu * alpha))
    return nll * scale.detach() ** scale_weight + penalty * error.abs() * (2 * nu + alpha)

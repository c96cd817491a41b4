"""Log-likelihoods of a decoder, in nats: both are probabilities of discrete pictures, not densities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

STEP = 1 / 255
"""The distance of two neighbouring bytes, in pictures of 0 to 1."""


def bernoulli(values: Tensor, pictures: Tensor) -> Tensor:
    """Log-probability (B,) of binary pictures (B, C, H, W), 0 or 1, where sigmoid(values) is the probability of a 1."""
    # torch's own function becomes a logarithm of a sigmoid in ONNX: infinite where a decoder is certain and wrong.
    return (pictures * values - functional.softplus(values)).sum(dim=(1, 2, 3))


def logistic(values: Tensor, log_scales: Tensor, pictures: Tensor) -> Tensor:
    """Log-probability (B,) of byte pictures (B, C, H, W), multiples of STEP.

    A byte is a logistic distribution around sigmoid(values) of scale exp(log_scales) (C,), cut into 256 steps whose
    outermost reach to infinity (Kingma et al. 2016, "Improving variational inference with inverse autoregressive
    flow", appendix).
    """
    scales = log_scales.exp().view(1, -1, 1, 1)
    distance = pictures - values.sigmoid()
    above, below = (distance + STEP / 2) / scales, (distance - STEP / 2) / scales
    # log(F(above) - F(below)) without taking a difference of two nearly equal numbers.
    darkest, brightest = -functional.softplus(-above), -functional.softplus(below)
    inside = darkest + brightest + torch.log(-torch.expm1(-STEP / scales))
    log_probability = torch.where(pictures < STEP / 2, darkest, torch.where(pictures > 1 - STEP / 2, brightest, inside))
    return log_probability.sum(dim=(1, 2, 3))

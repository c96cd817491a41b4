"""The divergence that variational autoencoders are regularised by."""

from __future__ import annotations

from torch import Tensor


def divergence_from_normal(means: Tensor, log_variances: Tensor) -> Tensor:
    """Kullback-Leibler divergence (B,) in nats of the latents' distribution from the standard normal one."""
    return (log_variances.exp() + means**2 - 1 - log_variances).sum(dim=1) / 2

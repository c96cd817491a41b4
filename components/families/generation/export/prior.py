"""The distribution of a VAE's samples: a mixture fitted to the latents of real pictures, after training.

The latents of real pictures are not distributed as the prior that the encoder was trained with, so the decoder has
seldom seen latents that are drawn from that prior (Dai and Wipf 2019, "Diagnosing and enhancing VAE models"). A
distribution that is fitted to them afterwards gives better samples (Ghosh et al. 2020, "From variational to
deterministic autoencoders", ex-post density estimation).
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from components.families.generation.training.batches import READ_AT_ONCE
from components.families.generation.training.vae import Vae

LEAST_VARIANCE = 1e-4
"""Added to every variance of a component, so that one with few pictures stays a distribution."""
PICTURES_A_NUMBER = 2
"""A component has at least so many pictures for each dimension of a latent, on average; with fewer pictures, fewer
components are fitted."""


class Prior(nn.Module):
    """A mixture of normal distributions, as a function of standard normal numbers: the first picks the component."""

    thresholds: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> None:
        """weights (K,), adding up to 1; means (K, d); covariances (K, d, d)."""
        super().__init__()
        ends = [NormalDist().inv_cdf(float(share)) for share in np.cumsum(weights)[:-1]]
        self.register_buffer("thresholds", torch.tensor([*ends, np.inf], dtype=torch.float32))
        self.register_buffer("means", torch.from_numpy(means).float())
        self.register_buffer("factors", torch.from_numpy(np.linalg.cholesky(covariances)).float())

    def forward(self, noise: Tensor) -> Tensor:
        """Latents (B, d) of standard normal numbers (B, d + 1)."""
        component = (noise[:, :1] > self.thresholds).sum(dim=1)
        return self.means[component] + (self.factors[component] * noise[:, None, 1:]).sum(dim=2)


@torch.no_grad()
def fit(model: Vae, images: np.ndarray, components: int) -> Prior:
    """The mixture of latents of images (N, H, W, C) uint8, and of their mirrors where it was trained on them.

    A latent is one draw from q(z|x) for each picture.
    """
    params = model.eval().params
    shown = torch.from_numpy(np.ascontiguousarray(images))
    sides = [shown, shown.flip(2)] if params.flip else [shown]
    generator = torch.Generator().manual_seed(params.seed)
    parts = []
    for some in (part for side in sides for part in torch.split(side, READ_AT_ONCE)):
        means, log_variances = model.encode(model.observed(some, generator))
        parts.append(means + torch.exp(log_variances / 2) * torch.randn(means.shape, generator=generator))
    latents = torch.cat(parts).double().numpy()
    most = max(1, len(latents) // (PICTURES_A_NUMBER * latents.shape[1]))
    found = GaussianMixture(
        min(components, most), reg_covar=LEAST_VARIANCE, init_params="k-means++", random_state=params.seed
    ).fit(latents)
    return Prior(found.weights_, found.means_, found.covariances_)

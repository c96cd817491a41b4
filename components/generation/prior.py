"""What a VAE's samples are drawn from: a normal distribution fitted to the latents of real pictures, after training.

The latents that an encoder gives to real pictures are not spread as the prior that it was trained with, so that latents
drawn from that prior are ones the decoder hardly knows (Dai and Wipf 2019, "Diagnosing and enhancing VAE models").
Fitting a distribution to them afterwards mends much of it (Ghosh et al. 2020, "From variational to deterministic
autoencoders", ex-post density estimation). One normal distribution is a linear map of standard normal numbers, so it
becomes part of the decoder's first layer: who draws pictures draws standard normal latents as before.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from components.generation.batches import READ_AT_ONCE
from components.generation.networks import Decoder
from components.generation.vae import Vae


class Normal(NamedTuple):
    """mean (d,) + factor (d, d) @ standard normal numbers (d,)."""

    mean: Tensor
    factor: Tensor


@torch.no_grad()
def fit(model: Vae, images: np.ndarray) -> Normal:
    """The normal distribution of the latents of images (N, H, W, C) uint8, and of their mirrors where trained on them.

    It has the mean and the covariance of a draw from q(z|x) for a picture taken at random: the covariance is that of
    the encoder's means plus its mean variances.
    """
    model = model.eval()
    shown = torch.from_numpy(np.ascontiguousarray(images))
    sides = [shown, shown.flip(2)] if model.params.flip else [shown]
    generator = torch.Generator().manual_seed(model.params.seed)
    parts = [
        model.encode(model.observed(some, generator)) for side in sides for some in torch.split(side, READ_AT_ONCE)
    ]
    means, log_variances = (torch.cat(some).double() for some in zip(*parts, strict=True))
    covariance = means.T.cov(correction=0) + log_variances.exp().mean(dim=0).diag()
    return Normal(means.mean(dim=0), torch.linalg.cholesky(covariance))


def folded(decoder: Decoder, prior: Normal) -> Decoder:
    """A decoder whose pictures of standard normal latents are those that `decoder` makes of latents from `prior`.

    Not to be trained: the first batch norm becomes part of the first layer, too, with the statistics that it has.
    """
    found = copy.deepcopy(decoder)
    norm: Any = decoder.layers[1]
    places = decoder.first.out_features // norm.num_features
    with torch.no_grad():
        weight = decoder.first.weight.double()
        scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).double().repeat_interleave(places)
        moved = norm.bias.double().repeat_interleave(places) - scale * norm.running_mean.repeat_interleave(places)
        found.first = nn.Linear(decoder.first.in_features, decoder.first.out_features)
        found.first.weight.copy_(scale[:, None] * (weight @ prior.factor))
        found.first.bias.copy_(scale * (weight @ prior.mean) + moved)
    found.layers[1] = nn.Identity()
    return found

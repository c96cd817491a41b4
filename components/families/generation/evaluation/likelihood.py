"""A VAE's bounds on the log-likelihood of held-out pictures, from its exported graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from components.bundle import Bundle


class Bounds(NamedTuple):
    """Two lower bounds of log p(x), in nats a picture.

    elbo: the evidence lower bound.  importance: the mean over more draws (Burda et al. 2015, "Importance weighted
    autoencoders", eq. 8), which is never lower and nearer to the truth.
    """

    elbo: float
    importance: float


def bounds(bundle: Bundle, images: np.ndarray, draws: int, seed: int) -> Bounds:
    """images: (N, H, W, C) uint8. Where the likelihood is Bernoulli's, they are binarised at random first."""
    random = np.random.RandomState(seed)
    if bundle.spec["likelihood"] == "bernoulli":
        images = np.where(random.random_sample(images.shape) < images / 255, 255, 0).astype(np.uint8)
    encoder, likelihood = bundle.session("encoder"), bundle.session("likelihood")
    elbo, importance = [], []
    for image in images:
        means, log_variances = (values[0] for values in encoder.run(None, {"images": image[None]}))
        noise = random.standard_normal((draws, len(means))).astype(np.float32)
        latents = means + np.exp(log_variances / 2) * noise
        repeated = np.broadcast_to(image, (draws, *image.shape))
        (found,) = likelihood.run(None, {"images": np.ascontiguousarray(repeated), "latents": latents})
        # log p(z) - log q(z|x); the normalising constants of the two normal distributions are equal.
        prior = (
            (noise.astype(np.float64) ** 2 - latents.astype(np.float64) ** 2).sum(axis=1) + log_variances.sum()
        ) / 2
        weights = found.astype(np.float64) + prior
        elbo.append(weights.mean())
        importance.append(weights.max() + np.log(np.mean(np.exp(weights - weights.max()))))
    return Bounds(float(np.mean(elbo)), float(np.mean(importance)))

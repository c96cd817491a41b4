"""The debiasing variational autoencoder (Amini et al. 2019, "Uncovering and mitigating algorithmic bias through
learned latent structure", https://doi.org/10.1145/3306618.3314243): a classifier that also learns, without labels,
what makes faces differ, so that rare faces can be shown more often (`resampling`).

The course's PyTorch version differs in four ways that break it; tests hold each: negatives get no classification loss,
z has standard deviation exp(s) where s is the logarithm of the variance, resampling reads pictures on another scale and
in another order of colours than training, and leaves the model in evaluation mode.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from components.labs.faces.params import Train
from components.labs.faces.training.model import FaceClassifier, cross_entropy
from components.training.divergence import divergence_from_normal


class Encoded(NamedTuple):
    """logits: (B,) face or not.  means, log_variances: (B, latent_dim) of the latents' normal distribution."""

    logits: Tensor
    means: Tensor
    log_variances: Tensor


class Decoder(nn.Module):
    """Pictures (B, 3, 64, 64), about 0 to 1, from latents (B, latent_dim): the encoder's steps undone."""

    def __init__(self, widths: tuple[int, int, int], latent_dim: int) -> None:
        super().__init__()
        first, second, third = widths
        self.first = nn.Linear(latent_dim, third * 4 * 4)
        self.layers = nn.Sequential(
            nn.Unflatten(1, (third, 4, 4)),
            nn.ReLU(),
            # Each kernel is twice its stride: every pixel is written equally often, which leaves no chequered pattern.
            nn.ConvTranspose2d(third, second, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(second, first, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(first, 3, 8, stride=4, padding=2),
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, latents: Tensor) -> Tensor:
        pictures: Tensor = self.layers(self.first(latents))
        return pictures


class DebiasingVae(FaceClassifier):
    """The classifier's encoder gives latents beside the logit, and a decoder reconstructs faces from them."""

    def __init__(self, params: Train) -> None:
        super().__init__(params, outputs=1 + 2 * params.latent_dim)
        self.decoder = Decoder(params.widths, params.latent_dim)

    def encode(self, pictures: Tensor) -> Encoded:
        outputs = self.encoder(pictures).float()
        means, log_variances = outputs[:, 1:].chunk(2, dim=1)
        return Encoded(outputs[:, 0], means, log_variances)

    def losses(self, pictures: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Classification of all, and the autoencoder's loss of the faces, as means over the whole batch.

        The paper's eq. 3 sums c1 * classification + 1[face] * (c2 * reconstruction + c3 * divergence). Negatives
        are not decoded at all: what they would look like counts for nothing.
        """
        encoded = self.encode(pictures)
        faces = labels == 1
        means, log_variances = encoded.means[faces], encoded.log_variances[faces]
        decoded = self.decoder(sampled(means, log_variances)).float()
        reconstruction = (pictures[faces] - decoded).abs().mean(dim=(1, 2, 3))
        batch = len(pictures)
        return {
            "classification": cross_entropy(encoded.logits, labels),
            "reconstruction": self.params.reconstruction_weight * reconstruction.sum() / batch,
            "divergence": self.params.kl_weight * divergence_from_normal(means, log_variances).sum() / batch,
        }


def sampled(means: Tensor, log_variances: Tensor) -> Tensor:
    """A draw of each latent; the standard deviation is exp(s / 2) where s is the logarithm of the variance."""
    return means + torch.exp(log_variances / 2) * torch.randn_like(means)

"""The variational autoencoder (Kingma and Welling 2013, "Auto-encoding variational Bayes")."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from components.families.generation.params import Train
from components.families.generation.training.likelihood import bernoulli, logistic
from components.families.generation.training.networks import Decoder, Shape, encoder, to_bytes, to_pictures
from components.families.generation.training.progress import Progress
from components.training.divergence import divergence_from_normal
from components.training.lr_schedule import with_one_cycle

LOG_VARIANCE = 8.0
"""Bound of the latents' log-variances, either way: beyond it an untrained encoder's exp overflows bf16 training."""
FIRST_LOG_SCALE = -2.0
"""Logarithm of the logistic likelihood's scale before training: 0.14 in pictures of 0 to 1."""


class Vae(pl.LightningModule):
    """Raises the evidence lower bound (ELBO): log p(x|z) - KL(q(z|x) || p(z)), in nats a picture."""

    monitor = "val_objective"

    def __init__(self, shape: Shape, params: Train) -> None:
        super().__init__()
        self.params, self.shape = params, shape
        self.encoder = encoder(shape, 2 * params.latent_dim, params.widths)
        self.decoder = Decoder(shape, params.latent_dim, params.widths)
        self.log_scales = nn.Parameter(torch.full((shape.channels,), FIRST_LOG_SCALE))
        self.log_scales.requires_grad_(params.likelihood == "logistic")
        self.progress = Progress(shape, params.latent_dim, params.max_epochs, params.seed)

    def forward(self, latents: Tensor) -> Tensor:
        """Values (B, C, H, W), of which the sigmoid is the picture, of latents (B, latent_dim)."""
        values: Tensor = self.decoder(latents)
        return values

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances (B, latent_dim) of the latents of pictures (B, C, H, W), 0 to 1."""
        means, log_variances = self.encoder(pictures).float().chunk(2, dim=1)
        return means, log_variances.clamp(-LOG_VARIANCE, LOG_VARIANCE)

    def log_likelihood(self, pictures: Tensor, latents: Tensor) -> Tensor:
        """log p(x|z) (B,) in nats; pictures are binary where the likelihood is Bernoulli's."""
        values = self(latents)
        if self.params.likelihood == "bernoulli":
            return bernoulli(values, pictures)
        return logistic(values, self.log_scales, pictures)

    def bound(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One draw of log p(x|z), and the divergence, (B,) each, of images (B, H, W, C) uint8."""
        pictures = self.observed(images, generator)
        means, log_variances = self.encode(pictures)
        noise = torch.randn(means.shape, generator=generator).to(means)
        latents = means + torch.exp(log_variances / 2) * noise
        return self.log_likelihood(pictures, latents), divergence_from_normal(means, log_variances)

    def observed(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The data of the likelihood: the pictures, or, for Bernoulli's, pixels that are ink with their grey value
        as the probability (Salakhutdinov and Murray 2008, "On the quantitative analysis of deep belief networks")."""
        pictures = to_pictures(images)
        if self.params.likelihood == "logistic":
            return pictures
        return (torch.rand(images.shape, generator=generator).to(pictures).permute(0, 3, 1, 2) < pictures).float()

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        likelihood, away = self.bound(batch)
        done = self.global_step / self.trainer.estimated_stepping_batches
        weight = min(1.0, done / self.params.kl_warmup) if self.params.kl_warmup else 1.0
        losses = {"train_loss": (away - likelihood).mean(), "train_divergence": away.mean()}
        self.log_dict(
            {name: loss.detach() for name, loss in losses.items()}, on_step=False, on_epoch=True, batch_size=len(batch)
        )
        return (weight * away - likelihood).mean()

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        nn.utils.clip_grad_norm_(self.parameters(), self.params.gradient_norm)

    def validation_step(self, batch: Tensor, index: int) -> None:
        # The same draws in every epoch: otherwise chance would choose the best one.
        likelihood, away = self.bound(batch, torch.Generator().manual_seed(self.params.seed + index))
        losses = {self.monitor: (away - likelihood).mean(), "val_divergence": away.mean()}
        self.log_dict(losses, batch_size=len(batch))

    def on_train_epoch_end(self) -> None:
        self.eval()
        self.progress.record(self.current_epoch, lambda latents: to_bytes(self(latents)))
        self.train()

    def configure_optimizers(self) -> Any:
        params = self.params
        optimizer = torch.optim.Adam(self.parameters(), lr=params.learning_rate, betas=params.betas)
        return with_one_cycle(optimizer, self.trainer, params.warmup)

"""The generative adversarial network (Goodfellow et al. 2014, "Generative adversarial nets")."""

from __future__ import annotations

import copy
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.families.generation.params import Train
from components.families.generation.training.batches import READ_AT_ONCE
from components.families.generation.training.networks import Decoder, Shape, discriminator, to_bytes, to_pictures
from components.families.generation.training.progress import Progress
from components.training.lr_schedule import one_cycle, set_learning_rate

PROJECTIONS = 256
"""Directions along which validation compares generated and real pictures."""


class Gan(pl.LightningModule):
    """Hinge losses (Lim and Ye 2017, "Geometric GAN"), spectral norms, and a generator averaged over its last steps.

    Optimisation is manual: two networks take a step each on every batch, the discriminator first.
    """

    monitor = "val_objective"

    def __init__(self, shape: Shape, params: Train) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.params, self.shape = params, shape
        self.generator = Decoder(shape, params.latent_dim, params.widths)
        self.discriminator = discriminator(shape, params.discriminator_widths)
        # What is exported (Yazıcı et al. 2019, "The unusual effectiveness of averaging in GAN training").
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)
        self.progress = Progress(shape, params.latent_dim, params.max_epochs, params.seed)
        self._real: list[Tensor] = []

    def forward(self, latents: Tensor) -> Tensor:
        """Values (B, C, H, W), of which the sigmoid is the picture, of latents (B, latent_dim)."""
        values: Tensor = self.averaged(latents)
        return values

    def score(self, pictures: Tensor) -> Tensor:
        """Scores (B, 1) of pictures (B, C, H, W), 0 to 1; generated and real pictures are moved alike."""
        scores: Tensor = self.discriminator(moved(2 * pictures - 1, self.params.discriminator_shift))
        return scores.float()

    def training_step(self, batch: Tensor, index: int) -> None:
        made_by, judged_by = self._optimizers()
        # Lightning counts the steps of both optimizers.
        self._set_rates(self.global_step / (2 * self.trainer.estimated_stepping_batches))
        real = to_pictures(batch)
        with torch.no_grad():
            made = self.generator(self._noise(len(real))).sigmoid()
        judged = functional.relu(1 - self.score(real)).mean() + functional.relu(1 + self.score(made)).mean()
        self._step(judged_by, judged, self.discriminator)

        self.discriminator.requires_grad_(False)
        fooled = -self.score(self.generator(self._noise(len(real))).sigmoid()).mean()
        self._step(made_by, fooled, self.generator)
        self.discriminator.requires_grad_(True)
        self._average()
        self.log_dict(
            {"train_discriminator": judged.detach(), "train_generator": fooled.detach()},
            on_step=False,
            on_epoch=True,
            batch_size=len(batch),
        )

    def validation_step(self, batch: Tensor, index: int) -> None:
        self._real.append(batch)

    def on_validation_epoch_end(self) -> None:
        real = to_pictures(torch.cat(self._real))
        self._real.clear()
        generator = torch.Generator().manual_seed(self.params.seed)
        latents = torch.randn(len(real), self.params.latent_dim, generator=generator).to(real)
        made = torch.cat([self(some).sigmoid() for some in torch.split(latents, READ_AT_ONCE)])
        self.log(self.monitor, sliced_distance(made, real, generator))

    def on_train_epoch_end(self) -> None:
        self.averaged.eval()
        self.progress.record(self.current_epoch, lambda latents: to_bytes(self(latents)))
        self.averaged.train()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        params = self.params
        return [
            torch.optim.Adam(self.generator.parameters(), lr=params.learning_rate, betas=params.betas),
            torch.optim.Adam(self.discriminator.parameters(), lr=params.discriminator_rate, betas=params.betas),
        ]

    def _optimizers(self) -> list[Any]:
        found = self.optimizers()
        assert isinstance(found, list)  # noqa: S101 - of the generator and of the discriminator
        return found

    def _step(self, optimizer: Any, loss: Tensor, network: nn.Module) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), self.params.gradient_norm)
        optimizer.step()

    def _set_rates(self, done: float) -> None:
        share = one_cycle(done, self.params.warmup)
        highest = (self.params.learning_rate, self.params.discriminator_rate)
        for optimizer, rate in zip(self._optimizers(), highest, strict=True):
            set_learning_rate(optimizer, rate * share)

    def _noise(self, count: int) -> Tensor:
        return torch.randn(count, self.params.latent_dim, device=self.device)

    @torch.no_grad()
    def _average(self) -> None:
        """Moves the exponential means of weights and of batch norm's statistics, over few steps while there are few."""
        done = self.global_step / 2
        share = 1 / min(self.params.averaged_steps, 1 + done / 4)
        latest = self.generator.state_dict()
        for name, mean in self.averaged.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(latest[name], share)


def moved(pictures: Tensor, share: float) -> Tensor:
    """Each picture (B, C, H, W) moved by whole pixels of its own, at most `share` of the side; the edge goes on.

    A discriminator that sees few pictures learns them by heart; moving made and real ones alike keeps it from that
    and leaves the generator's task as it is (Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN
    training").
    """
    reach = round(share * pictures.shape[-1])
    if reach == 0:
        return pictures
    batch, _, height, width = pictures.shape
    down, across = torch.randint(-reach, reach + 1, (2, batch, 1), device=pictures.device)
    rows = (down + torch.arange(height, device=pictures.device)).clamp(0, height - 1)
    columns = (across + torch.arange(width, device=pictures.device)).clamp(0, width - 1)
    which = torch.arange(batch, device=pictures.device)
    # Channels last, so that whole pixels are copied: three times as fast as one channel at a time.
    pixels = pictures.permute(0, 2, 3, 1)
    return pixels[which[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def sliced_distance(made: Tensor, real: Tensor, generator: torch.Generator) -> Tensor:
    """Mean distance of two sets of as many pictures (N, C, H, W) along random directions; 0 for equal sets.

    The sliced Wasserstein distance (Rabin et al. 2011, "Wasserstein barycenter and its application to texture
    mixing"), of pictures reduced to half their side, in units of a pixel's range.
    """
    made, real = (functional.avg_pool2d(pictures, 2).flatten(1) for pictures in (made, real))
    directions = torch.randn(real.shape[1], PROJECTIONS, generator=generator).to(real)
    directions /= directions.norm(dim=0)
    return ((made @ directions).sort(dim=0).values - (real @ directions).sort(dim=0).values).abs().mean()

"""Transfer: a head is fitted to frozen features, then the last parts of the backbone learn with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.labs.transfer.params import Train
from components.labs.transfer.training.backbones import backbone, load_pretrained
from components.labs.transfer.training.batches import READ_AT_ONCE, Batch
from components.labs.transfer.training.head import fit_head
from components.training.lr_schedule import one_cycle, set_learning_rate
from components.training.optimizers import decay_groups

EPSILON = 1e-3
"""Added below the root, whose slope at zero has no bound."""


class TransferModel(pl.LightningModule):
    """Logits over categories. What an epoch does depends on its number, so that a killed run goes on as it would have.

    The first epoch of a pretrained backbone fits the head (`head.py`); in the others the head and the backbone's last
    `thawed_parts` learn by gradient descent.
    """

    def __init__(
        self, params: Train, categories: Sequence[str], pretrained: Mapping[str, Path], downloads: Path
    ) -> None:
        super().__init__()
        self.params, self.categories = params, tuple(categories)
        self._pretrained, self._downloads = pretrained, downloads
        self.backbone = backbone(params)
        self.dropout = nn.Dropout(params.dropout)
        self.head = nn.Linear(self.backbone.outputs, len(categories))
        # An untrained head gives equal probabilities.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def setup(self, stage: str) -> None:
        """Reads the pretrained weights before a checkpoint of the training is read, which counts where there is one."""
        if stage == "fit" and self.params.pretrained:
            load_pretrained(self.backbone, self.params, self._pretrained, self._downloads)
        for part in self.backbone.parts[: len(self.backbone.parts) - self.params.thawed_parts]:
            part.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, categories) of images (B, S, S, 3) uint8 RGB."""
        logits: Tensor = self.head(self.dropout(self.features(images)))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """(B, outputs) of images (B, S, S, 3) uint8 RGB: what the backbone gives, of a pretrained one the square roots.

        A few of its numbers are large and half are next to zero; linear classifiers of roots are better (Perronnin et
        al. 2010, "Improving the Fisher kernel", section 3.2). From scratch, roots are learnt more slowly.
        """
        found: Tensor = self.backbone(to_pictures(images))
        return torch.sqrt(found + EPSILON) if self.params.pretrained else found

    @property
    def fits_head(self) -> bool:
        """Whether this epoch fits the head."""
        return self.params.pretrained and self.current_epoch == 0

    def on_train_epoch_start(self) -> None:
        # Batch statistics of a few pictures are worse than ImageNet's.
        self.backbone.train(not self.params.pretrained)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        first = int(self.params.pretrained)
        epochs = max(1, self.params.max_epochs - first)
        done = (self.current_epoch - first + batch_idx / self.trainer.num_training_batches) / epochs
        for optimizer in self.trainer.optimizers:
            set_learning_rate(optimizer, self.params.learning_rate * one_cycle(max(0.0, done), self.params.warmup))

    def training_step(self, batch: Batch, index: int) -> Tensor | None:
        if self.fits_head:
            self._fit_head(batch)
            return None
        logits = self(batch.images)
        loss = functional.cross_entropy(logits.float(), batch.labels, label_smoothing=self.params.label_smoothing)
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(batch.labels))
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        logits = self(batch.images).float()
        loss = functional.cross_entropy(logits, batch.labels)
        wrong = (logits.argmax(dim=1) != batch.labels).float().mean()
        # The error chooses the epoch: few pictures are soon learned by heart, and the loss of others stops falling long
        # before their error does, as confidence grows.
        self.log_dict({"val_loss": loss, "val_error": wrong}, batch_size=len(batch.labels))

    def configure_optimizers(self) -> Any:
        groups = decay_groups(self.parameters(), self.params.weight_decay)
        return torch.optim.AdamW(groups, lr=self.params.learning_rate)

    @torch.no_grad()
    def _fit_head(self, batch: Batch) -> None:
        """Features of every picture and of its mirror image are computed once."""
        both = [batch.images, batch.images.flip(2)]
        features = torch.cat([self.features(some) for images in both for some in images.split(READ_AT_ONCE)]).float()
        labels = torch.cat([batch.labels, batch.labels])
        fit_head(self.head, features, labels, self.params.head_weight_decay, self.params.head_steps)
        loss = functional.cross_entropy(self.head(features), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))


def to_pictures(images: Tensor) -> Tensor:
    """Bytes (B, S, S, 3) as (B, 3, S, S) from 0 to 1."""
    return images.permute(0, 3, 1, 2).float() / 255

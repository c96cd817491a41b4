"""Fine-tuning in three parts: the backbone is pretrained (or read from a file), then a new head trains, then all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.labs.transfer.params import Train
from components.labs.transfer.training.batches import Batch
from components.labs.transfer.training.vgg import Vgg, load_state, read_state
from components.training.lr_schedule import one_cycle, set_learning_rate
from components.training.optimizers import decay_groups

GROUPS = 2 * 9 * 7
"""Classes of pretraining, at most: perceived gender, age band and race of a face, as FairFace names them."""

Part = Literal["pretraining", "frozen", "thawed"]


class TransferModel(pl.LightningModule):
    """Logits over categories. The part of training is a function of the epoch, so a killed run goes on in its own."""

    monitor = "val_error"

    def __init__(self, params: Train, categories: Sequence[str], downloads: Path) -> None:
        super().__init__()
        self.params, self.categories, self.downloads = params, tuple(categories), downloads
        self.backbone = Vgg(params.width)
        self.groups = nn.Linear(self.backbone.outputs, GROUPS)
        self.dropout = nn.Dropout(params.dropout)
        self.head = nn.Linear(self.backbone.outputs, len(categories))
        # An untrained head gives equal probabilities: pretraining's validation loss is the logarithm of their number.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def setup(self, stage: str) -> None:
        """Reads the state file before a training, and before a checkpoint of it: that one counts where there is one."""
        if stage == "fit" and self.params.weights:
            state = read_state(self.params.weights, self.params.sha256, self.downloads)
            load_state(self.backbone, state, self.params.weights)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, categories) of images (B, S, S, 3) uint8 RGB."""
        logits: Tensor = self.head(self.dropout(self.backbone(to_pictures(images))))
        return logits

    def part(self, epoch: int) -> tuple[Part, int, int]:
        """Which part an epoch belongs to, the first epoch of that part and the first after it."""
        params = self.params
        frozen, thawed = params.pretraining_epochs, params.pretraining_epochs + params.frozen_epochs
        if epoch < frozen:
            return "pretraining", 0, frozen
        return ("frozen", frozen, thawed) if epoch < thawed else ("thawed", thawed, params.max_epochs)

    def on_train_epoch_start(self) -> None:
        part, first, _ = self.part(self.current_epoch)
        self.backbone.requires_grad_(part != "frozen")
        self.groups.requires_grad_(part == "pretraining")
        self.head.requires_grad_(part != "pretraining")
        if self.current_epoch == first:  # the last part's momentum does not apply to this one
            optimizer = self.optimizers()
            assert not isinstance(optimizer, list)  # noqa: S101
            optimizer.state.clear()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        part, first, after = self.part(self.current_epoch)
        done = (self.current_epoch - first + batch_idx / self.trainer.num_training_batches) / (after - first)
        params = self.params
        highest = {
            "pretraining": params.pretraining_learning_rate,
            "frozen": params.head_learning_rate,
            "thawed": params.learning_rate,
        }[part]
        for optimizer in self.trainer.optimizers:
            set_learning_rate(optimizer, highest * one_cycle(done, params.warmup))

    def training_step(self, batch: Batch, index: int) -> Tensor:
        pretraining = self.part(self.current_epoch)[0] == "pretraining"
        logits = self.groups(self.backbone(to_pictures(batch.images))) if pretraining else self(batch.images)
        smoothing = 0.0 if pretraining else self.params.label_smoothing
        loss = functional.cross_entropy(logits.float(), batch.labels, label_smoothing=smoothing)
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(batch.labels))
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        logits = self(batch.images).float()
        loss = functional.cross_entropy(logits, batch.labels)
        wrong = (logits.argmax(dim=1) != batch.labels).float().mean()
        # The error chooses the epoch: few pictures are soon learned by heart, and the loss of others stops falling long
        # before their error does, as confidence grows.
        self.log_dict({"val_loss": loss, self.monitor: wrong}, batch_size=len(batch.labels))

    def configure_optimizers(self) -> Any:
        groups = decay_groups(self.parameters(), self.params.weight_decay)
        return torch.optim.AdamW(groups, lr=self.params.learning_rate)


def to_pictures(images: Tensor) -> Tensor:
    """Bytes (B, S, S, 3) as (B, 3, S, S) from 0 to 1."""
    return images.permute(0, 3, 1, 2).float() / 255

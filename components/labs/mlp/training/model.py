"""The hand-written network as a Lightning module: it computes its own derivatives and takes its own steps."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from components.families.classification.training.batches import Batch
from components.labs.mlp.params import Train
from components.labs.mlp.training.network import GradientDescent, cross_entropy, network
from components.training.lr_schedule import one_cycle, set_learning_rate


class MlpModel(pl.LightningModule):
    """Trains a Network with manual optimisation: Lightning's own would call autograd."""

    monitor = "val_loss"

    def __init__(self, params: Train) -> None:
        super().__init__()
        self.params = params
        self.automatic_optimization = False
        self.network = network(params)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 10) of images (B, 1, 28, 28)."""
        logits: Tensor = self.network(images)
        return logits

    def training_step(self, batch: Batch, index: int) -> None:
        with torch.no_grad():
            loss, by_weight, by_bias = self.network.loss_and_gradients(*batch)
        for weight, gradient in zip([*self.network.weights, *self.network.biases], [*by_weight, *by_bias], strict=True):
            weight.grad = gradient
        optimizer = self.optimizers()
        done = self.global_step / self.trainer.estimated_stepping_batches
        set_learning_rate(optimizer, self.params.learning_rate * one_cycle(done, self.params.warmup))
        optimizer.step()  # type: ignore[union-attr]
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.labels))

    def validation_step(self, batch: Batch, index: int) -> None:
        logits = self(batch.images)
        loss, _ = cross_entropy(logits, batch.labels)
        wrong = (logits.argmax(dim=1) != batch.labels).float().mean()
        self.log_dict({self.monitor: loss, "val_error": wrong}, batch_size=len(batch.labels))

    def configure_optimizers(self) -> GradientDescent:
        groups: list[dict[str, Any]] = [
            {"params": list(self.network.weights), "weight_decay": self.params.weight_decay},
            {"params": list(self.network.biases)},
        ]
        return GradientDescent(groups, self.params.learning_rate, self.params.momentum)

"""The training: cross-entropy of answers, with respect to the adapters alone."""

from __future__ import annotations

from math import log
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional

from components.datasets.styles.reader import KINDS
from components.labs.chat.params import Train
from components.labs.chat.training.base import Base
from components.labs.chat.training.batches import IGNORED, Batch
from components.labs.chat.training.network import Network
from components.training.lr_schedule import with_one_cycle


class ChatModel(pl.LightningModule):
    """Logs `val_<kind>_bits_per_byte` of each kind of answers, and their mean over the styles, `val_bits_per_byte`."""

    def __init__(self, base: Base, params: Train) -> None:
        super().__init__()
        self.params = params
        self.network = Network(base, params.rank, params.alpha)
        self._sums = torch.zeros(len(KINDS), 2, dtype=torch.float64)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        loss = self._nats(batch).mean()
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(batch.ids))
        return loss

    def on_validation_epoch_start(self) -> None:
        self._sums.zero_()

    def validation_step(self, batch: Batch, index: int) -> None:
        nats = self._nats(batch)
        row = (batch.targets != IGNORED).nonzero()[:, 0]
        sums = torch.zeros(len(batch.ids), dtype=torch.float64).index_add(0, row.cpu(), nats.double().cpu())
        self._sums.index_add_(0, batch.kind.cpu(), torch.stack([sums, batch.size.double().cpu()], dim=1))

    def on_validation_epoch_end(self) -> None:
        bits = {kind: float(nats / size) / log(2) for kind, (nats, size) in zip(KINDS, self._sums, strict=True)}
        for kind, value in bits.items():
            self.log(f"val_{kind}_bits_per_byte", value)
        self.log("val_bits_per_byte", sum(bits.values()) / len(bits))

    def configure_optimizers(self) -> Any:
        params = self.params
        parameters = list(self.network.parameters())
        if params.optimizer == "lion":
            return with_one_cycle(
                Lion(parameters, params.learning_rate, params.weight_decay), self.trainer, params.warmup
            )
        adam = torch.optim.AdamW(parameters, lr=params.learning_rate, weight_decay=params.weight_decay)
        return with_one_cycle(adam, self.trainer, params.warmup)

    def _nats(self, batch: Batch) -> Tensor:
        """The cross-entropy (M,) of every token of every answer, in order."""
        there = torch.arange(batch.ids.shape[1], device=batch.ids.device) < batch.lengths[:, None]
        hidden = self.network.hidden(batch.ids[there], batch.lengths.tolist(), batch.style.tolist())
        targets = batch.targets[there]
        counts = targets != IGNORED
        return functional.cross_entropy(self.network.logits(hidden[counts]).float(), targets[counts], reduction="none")


class Lion(torch.optim.Optimizer):
    """Sign of the interpolated momentum (Chen et al. 2023, "Symbolic discovery of optimization algorithms")."""

    def __init__(self, parameters: list[torch.nn.Parameter], learning_rate: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": learning_rate, "weight_decay": weight_decay, "betas": (0.9, 0.99)})

    @torch.no_grad()
    def step(self, closure: object = None) -> Tensor | None:  # type: ignore[override]
        loss = None
        if callable(closure):
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            first, second = group["betas"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                momentum = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(group["lr"] * torch.sign(first * momentum + (1 - first) * weight.grad))
                momentum.mul_(second).add_(weight.grad, alpha=1 - second)
        return loss

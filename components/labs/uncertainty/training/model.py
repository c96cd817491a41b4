"""All stacks as one thing that Lightning trains: each has an optimizer of its own."""

from __future__ import annotations

from collections.abc import Mapping

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from components.labs.uncertainty.params import Train
from components.labs.uncertainty.training.batches import Batch
from components.labs.uncertainty.training.heads import components, loss
from components.labs.uncertainty.training.problems import Problem
from components.labs.uncertainty.training.stack import Stack
from components.training.lr_schedule import one_cycle, set_learning_rate


class UncertaintyModel(pl.LightningModule):
    """Stacks by set. Optimisation is manual: a step moves one stack, and each network's gradient is clipped alone."""

    monitor = "val_loss"

    def __init__(self, problems: Mapping[str, Problem], params: Train) -> None:
        super().__init__()
        self.params = params
        self.automatic_optimization = False
        self.stacks = nn.ModuleDict({name: Stack(problem, params) for name, problem in problems.items()})

    def stack(self, name: str) -> Stack:
        found = self.stacks[name]
        assert isinstance(found, Stack)  # noqa: S101 - ModuleDict forgets its values' type
        return found

    def training_step(self, batch: Batch, index: int) -> None:
        stack = self.stack(batch.name)
        optimizer = self._optimizer(batch.name)
        optimizer.zero_grad()
        # A sum: each network gets the gradient of its own mean, whatever the others are.
        total = stack.loss(batch.features, batch.target).sum()
        self.manual_backward(total)
        stack.clip(self.params.clip)
        set_learning_rate(optimizer, stack.recipe.learning_rate * one_cycle(batch.done, self.params.warmup))
        optimizer.step()

    def validation_step(self, batch: Batch, index: int) -> None:
        """val_loss: negative log-likelihood of left-out rows in standard deviations of the target, mean over sets."""
        stack = self.stack(batch.name)
        raw = stack(batch.features)
        value = loss(raw, batch.target, stack.method, 0.0, stack.min_alpha, 0.0).mean()
        error = ((components(raw, stack.method, stack.min_alpha).location - batch.target) ** 2).mean().sqrt()
        self.log_dict({f"val_nll_{batch.name}": value, f"val_rmse_{batch.name}": error}, batch_size=1)
        self.log(self.monitor, value, batch_size=1)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.AdamW(
                [
                    {"params": list(stack.weights), "weight_decay": stack.recipe.weight_decay},
                    {"params": list(stack.biases), "weight_decay": 0.0},
                ],
                lr=stack.recipe.learning_rate,
                fused=True,
            )
            for stack in map(self.stack, self.stacks)
        ]

    def _optimizer(self, name: str) -> torch.optim.Optimizer:
        found = self.optimizers()
        every = found if isinstance(found, list) else [found]
        optimizer: torch.optim.Optimizer = every[list(self.stacks).index(name)]  # type: ignore[assignment]
        return optimizer

    def forward(self, name: str, features: Tensor) -> Tensor:
        raw: Tensor = self.stack(name)(features)
        return raw

"""The learning rate over a training: it rises linearly, then falls to zero along half a cosine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytorch_lightning as pl
    import torch


def one_cycle(done: float, warmup: float) -> float:
    """Share of the highest learning rate when `done` (0 to 1) of the steps are done.

    Rises linearly until `warmup` (a share of all steps), then falls to zero along half a cosine.
    """
    if done < warmup:
        return done / warmup
    return (1 + math.cos(math.pi * min(1.0, (done - warmup) / (1 - warmup)))) / 2


def with_one_cycle(optimizer: torch.optim.Optimizer, trainer: pl.Trainer, warmup: float) -> dict[str, Any]:
    """What `configure_optimizers` returns so that every step follows `one_cycle`, which ends with max_epochs."""
    from torch.optim.lr_scheduler import LambdaLR

    steps = int(trainer.estimated_stepping_batches)
    schedule = LambdaLR(optimizer, lambda step: one_cycle(step / steps, warmup))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def set_learning_rate(optimizer: Any, rate: float) -> None:
    """Sets the rate of every group of parameters, for models that take their steps themselves."""
    for group in optimizer.param_groups:
        group["lr"] = rate

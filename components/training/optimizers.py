"""Groups of parameters with and without weight decay, and gradient clipping for fused optimizers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytorch_lightning as pl
from torch import nn


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: matrices and filters, which decay, and vectors (norms and biases), which do not."""
    parameters = list(parameters)
    return [
        {"params": [weight for weight in parameters if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in parameters if weight.ndim <= 1], "weight_decay": 0.0},
    ]


class FusedClipping(pl.LightningModule):
    """A model whose optimizer is fused, and whose gradient may be clipped all the same.

    Lightning refuses to clip for a fused optimizer, which is only unsound with scaled fp16 gradients.
    """

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        if gradient_clip_val:
            nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

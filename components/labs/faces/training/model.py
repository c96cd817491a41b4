"""The face classifier: a small convolutional network, and what the debiasing one shares with it."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from components.labs.faces.params import Train
from components.labs.faces.training.augment import augmented, plain
from components.stats import rate_above, threshold_at
from components.training.lr_schedule import with_one_cycle
from components.training.optimizers import FusedClipping, decay_groups

VALIDATION_FALSE_POSITIVES = 0.01
"""False-positive rate at which the training curve shows recall; nothing is chosen by it."""


class Batch(NamedTuple):
    """images: (B, S, S, 3) uint8 RGB, in random order.  labels: (B,) float, 1 for faces."""

    images: Tensor
    labels: Tensor


class Encoder(nn.Module):
    """Pictures (B, 3, 64, 64) in 0 to 1 as (B, outputs): a quarter, twice half, then all of the last map in one layer.

    The first layer takes a quarter at once: maps of half the side cost half the time of a training step, and gave no
    better recall. Batch norm stands before the ReLU, so that it folds into the convolution: the exported graph has
    none. Everything is a convolution, so that a larger picture gives a map of outputs, one each 16 pixels (`dense`).
    """

    def __init__(self, widths: tuple[int, int, int], hidden_size: int, outputs: int) -> None:
        super().__init__()
        first, second, third = widths
        self.features = nn.Sequential(
            _block(nn.Conv2d(3, first, 8, stride=4, padding=2, bias=False)),
            _block(nn.Conv2d(first, second, 3, stride=2, padding=1, bias=False)),
            _block(nn.Conv2d(second, third, 3, stride=2, padding=1, bias=False)),
            _block(nn.Conv2d(third, hidden_size, 4, bias=False)),
        )
        self.outputs = nn.Conv2d(hidden_size, outputs, 1)
        # 1.3 times as fast on a CPU.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pictures: Tensor) -> Tensor:
        return self.dense(pictures).flatten(1)

    def dense(self, pictures: Tensor) -> Tensor:
        """(B, outputs, H / 16 - 3, W / 16 - 3) of pictures (B, 3, H, W)."""
        outputs: Tensor = self.outputs(self.features(pictures))
        return outputs


def _block(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))


def folded(encoder: Encoder) -> Encoder:
    """A copy for inference whose batch norms are folded into the convolutions before them."""
    encoder = copy.deepcopy(encoder).eval()
    for index, block in enumerate(encoder.features):
        convolution, norm, activation = block.children()
        assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)  # noqa: S101
        encoder.features[index] = nn.Sequential(fuse_conv_bn_eval(convolution, norm), activation)
    return encoder


class FaceClassifier(FusedClipping):
    """The standard model: one logit a picture, trained by cross entropy."""

    monitor = "val_loss"

    def __init__(self, params: Train, outputs: int = 1) -> None:
        super().__init__()
        self.params = params
        self.encoder = Encoder(params.widths, params.hidden_size, outputs)
        self._validation: list[tuple[Tensor, Tensor]] = []

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (B,) that pictures (B, 3, 64, 64) in 0 to 1 are faces."""
        logits: Tensor = self.encoder(pictures)[:, 0]
        return logits

    def losses(self, pictures: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The parts of the loss, by name; their sum is what training lowers."""
        return {"classification": cross_entropy(self(pictures), labels)}

    def training_step(self, batch: Batch, index: int) -> Tensor:
        # Here, after the train step's StepSeed has seeded this step, so that a resumed run sees the same pictures.
        pictures = augmented(batch.images, self.params)
        losses = self.losses(pictures, batch.labels)
        for name, loss in losses.items():
            self.log(f"train_{name}", loss.detach(), on_step=False, on_epoch=True, batch_size=len(pictures))
        return torch.stack(list(losses.values())).sum()

    def validation_step(self, batch: Batch, index: int) -> None:
        logits = self(plain(batch.images)).float()
        self.log(self.monitor, cross_entropy(logits, batch.labels), batch_size=len(logits))
        self._validation.append((logits.cpu(), batch.labels.cpu()))

    def on_validation_epoch_end(self) -> None:
        logits, labels = (torch.cat(part).numpy() for part in zip(*self._validation, strict=True))
        self._validation.clear()
        threshold = threshold_at(logits[labels == 0], VALIDATION_FALSE_POSITIVES)
        self.log("val_recall", rate_above(logits[labels == 1], threshold))

    def configure_optimizers(self) -> Any:
        params = self.params
        groups = decay_groups(self.parameters(), params.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=params.learning_rate, fused=True)
        return with_one_cycle(optimizer, self.trainer, params.warmup)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean nats a picture, logits (B,) of any float type."""
    return functional.binary_cross_entropy_with_logits(logits.float(), labels)

"""The two networks for digits, and their training."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.datasets.digits.reader import DIGITS, SIZE
from components.families.classification.training.batches import Batch
from components.labs.digits.params import Train
from components.training.lr_schedule import with_one_cycle
from components.training.optimizers import FusedClipping, decay_groups

FIRST_KERNEL, FIRST_STRIDE = 7, 3
"""Side of the first convolution's filters, and its stride: 28 pixels become 8 positions."""


def network(params: Train) -> nn.Sequential:
    """The network that the parameters ask for: ink (B, 1, 28, 28), 0 to 1, to logits (B, 10)."""
    return {"fully_connected": fully_connected, "convolutional": convolutional}[params.model](params)


def fully_connected(params: Train) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    sizes = [SIZE * SIZE, *params.hidden_sizes]
    for size, following in itertools.pairwise(sizes):
        layers += [nn.Linear(size, following, bias=False), nn.BatchNorm1d(following), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(params.dropout), nn.Linear(sizes[-1], DIGITS))


def convolutional(params: Train) -> nn.Sequential:
    """Convolutions with batch norm, none padded; export folds the norms into the filters.

    Most of a step's time goes into maps of the whole picture, and into pooling them. So the first filters are large
    with a large stride: 28 x 28 pixels become 8 x 8 positions, which they cover exactly. Each 3 x 3 convolution after
    it removes a position at each edge, and no pooling is needed.
    """
    layers: list[nn.Module] = []
    before, side, kernel, stride = 1, SIZE, FIRST_KERNEL, FIRST_STRIDE
    for channels in params.channels:
        layers += [nn.Conv2d(before, channels, kernel, stride, bias=False), nn.BatchNorm2d(channels)]
        layers += [nn.ReLU(inplace=True)]
        before, side = channels, (side - kernel) // stride + 1
        kernel, stride = 3, 1
    layers += [nn.Flatten(), nn.Linear(before * side * side, params.dense_size, bias=False)]
    layers += [nn.BatchNorm1d(params.dense_size), nn.ReLU(), nn.Dropout(params.dropout)]
    # Filters laid out channel by channel within a pixel: oneDNN's convolutions are fastest on these.
    model = nn.Sequential(*layers, nn.Linear(params.dense_size, DIGITS))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


class DigitsModel(FusedClipping):
    """Trains a network of digits with cross-entropy and gradient descent."""

    monitor = "val_loss"

    def __init__(self, network: nn.Module, params: Train) -> None:
        super().__init__()
        self.params = params
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 10) of images (B, 1, 28, 28)."""
        logits: Tensor = self.network(images.contiguous(memory_format=torch.channels_last))
        return logits

    def training_step(self, batch: Batch, index: int) -> Tensor:
        loss = functional.cross_entropy(
            self(batch.images).float(), batch.labels, label_smoothing=self.params.label_smoothing
        )
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(batch.labels))
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        logits = self(batch.images).float()
        loss = functional.cross_entropy(logits, batch.labels)
        wrong = (logits.argmax(dim=1) != batch.labels).float().mean()
        self.log_dict({self.monitor: loss, "val_error": wrong}, batch_size=len(batch.labels))

    def configure_optimizers(self) -> Any:
        params = self.params
        groups = decay_groups(self.parameters(), params.weight_decay)
        optimizer = torch.optim.SGD(
            groups, lr=params.learning_rate, momentum=params.momentum, nesterov=True, fused=True
        )
        return with_one_cycle(optimizer, self.trainer, params.warmup)

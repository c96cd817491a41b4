"""Training data whose batches are a function of (seed, epoch), so that a resumed run gets the same ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Batch = TypeVar("Batch")
Rows = TypeVar("Rows", np.ndarray, Tensor)

SEEDS = 2**63
"""The seeds of epochs are taken modulo this number: torch accepts none of 2**64 or more."""


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of an epoch's order; batch `index` of it draws from `generator(epoch_seed(...) + 1 + index)`."""
    return (seed * 100_003 + epoch) * 100_003 % SEEDS


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batches_of(order: Rows, size: int, smallest: int) -> list[Rows]:
    """`order` (N,) in pieces of `size` rows; the last one is left out where it has fewer than `smallest`."""
    pieces = [order[first : first + size] for first in range(0, len(order), size)]
    return pieces[:-1] if pieces and len(pieces[-1]) < smallest else pieces


class Epoch(Dataset[Batch], Generic[Batch]):
    """The batches of one epoch, each made when it is asked for.

    order: the rows of each batch. make: the batch of (its index, its rows).
    """

    def __init__(self, order: Sequence[Any], make: Callable[[int, Any], Batch]) -> None:
        self.order, self._make = order, make

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._make(index, self.order[index])


class EpochData(pl.LightningDataModule, Generic[Batch]):
    """A lab's training and validation batches; a lab says what an epoch shows."""

    @abstractmethod
    def epoch(self, epoch: int) -> Sequence[Batch] | Epoch[Batch]:
        """The training batches of an epoch, by its number from 0."""

    @abstractmethod
    def validation_batches(self) -> Sequence[Batch] | Epoch[Batch]:
        """The same batches at every call, not augmented."""

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches of the trainer's current epoch; rebuilt every epoch (reload_dataloaders_every_n_epochs=1)."""
        return _loader(self.epoch(self.trainer.current_epoch if self.trainer else 0))

    def val_dataloader(self) -> DataLoader[Batch]:
        return _loader(self.validation_batches())


def _loader(batches: Sequence[Batch] | Epoch[Batch]) -> DataLoader[Batch]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a sequence serves as a Dataset

"""A share of every batch for each of the processes that train together: all shares together are the same batches.

So the number of steps, the learning rate's schedule and the batch that a gradient is the mean of are those of one
process. Validation is not shared: each process measures all of it, exactly, and nothing need be put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset


class Shards(pl.LightningDataModule):
    """A lab's data, of which this process sees its share of each training batch."""

    def __init__(self, data: pl.LightningDataModule, rank: int, world: int) -> None:
        super().__init__()
        self.data, self.rank, self.world = data, rank, world

    def train_dataloader(self) -> DataLoader[Any]:
        self.data.trainer = self.trainer  # it asks for the current epoch
        return DataLoader(_Shares(self.data.train_dataloader().dataset, self.rank, self.world), batch_size=None)

    def val_dataloader(self) -> Any:
        return self.data.val_dataloader()


class _Shares(Dataset[Any]):
    def __init__(self, batches: Sequence[Any], rank: int, world: int) -> None:
        self.batches, self.rank, self.world = batches, rank, world

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return share(self.batches[index], self.rank, self.world)


def share(batch: Any, rank: int, world: int) -> Any:
    """Every `world`-th item of a batch from item `rank` on. batch: a named tuple of tensors, items on the first axis.

    All shares are equally large, so that the mean of their gradients is that of the batch: where items are missing,
    the first are taken twice, as torch's DistributedSampler does.
    """
    count = len(batch[0])
    rows = (torch.arange(-(-count // world)) * world + rank) % count
    return type(batch)(*(tensor[rows] for tensor in batch))

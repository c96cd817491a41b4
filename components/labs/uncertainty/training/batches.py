"""Batches for stacks: in every step one set's networks each draw rows of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from components.labs.uncertainty.params import Train
from components.labs.uncertainty.training.problems import Problem

SEEDS = 2**63
"""Seeds of batches go round there: torch takes none of 2**64 or more."""


class Batch(NamedTuple):
    """features (S M, B, d) and target (S M, B), standardised as each network's split says.

    done: share of the set's steps that are done before this one.
    """

    name: str
    features: Tensor
    target: Tensor
    done: float


class Rows:
    """A problem's rows, ready to be drawn from."""

    def __init__(self, problem: Problem) -> None:
        centers, spreads, target_centers, target_spreads = problem.standards
        features = (problem.features - centers[:, None]) / spreads[:, None]
        target = (problem.target - target_centers[:, None]) / target_spreads[:, None]
        # One long table over all splits: a network's rows are numbers in its split's part.
        self.features = torch.from_numpy(features.reshape(-1, features.shape[-1])).float()
        self.target = torch.from_numpy(target.reshape(-1)).float()
        self.start = torch.arange(len(problem.train))[:, None] // problem.members * len(problem.target)
        self.train, self.counts = _padded(problem.train)
        self.left_out, self.left_out_counts = _padded(problem.left_out)

    def taken(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Features and target of row numbers (S M, B)."""
        places = rows + self.start
        return self.features[places], self.target[places]

    def drawn(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`count` training rows of every network, drawn with replacement."""
        places = torch.rand(len(self.counts), count, generator=generator) * self.counts[:, None]
        return self.taken(self.train.gather(1, places.long()))

    def held_out(self, most: int) -> tuple[Tensor, Tensor]:
        """The first `most` rows that each network leaves out; where it has fewer, they come again."""
        count = min(most, int(self.left_out_counts.max()))
        places = torch.arange(count)[None, :] % self.left_out_counts[:, None]
        return self.taken(self.left_out.gather(1, places))


class Epoch:
    """The batches of one epoch, set after set: its share of each set's steps."""

    def __init__(self, rows: Mapping[str, Rows], problems: Mapping[str, Problem], params: Train, epoch: int) -> None:
        self.rows, self.problems = rows, problems
        self.seed = (params.seed * 100_003 + epoch) * 1_000_003 % SEEDS
        self.steps: list[tuple[str, int]] = []
        for name, problem in problems.items():
            total = problem.recipe.steps
            first, last = (total * each // params.max_epochs for each in (epoch, epoch + 1))
            self.steps += [(name, step) for step in range(first, last)]

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Batch]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Batch:
        name, step = self.steps[index]
        recipe = self.problems[name].recipe
        generator = torch.Generator().manual_seed(self.seed + index)
        return Batch(name, *self.rows[name].drawn(recipe.batch_size, generator), step / recipe.steps)


class UncertaintyData(pl.LightningDataModule):
    """The problems' rows; which are drawn depends on (seed, epoch, step) only."""

    def __init__(self, problems: Mapping[str, Problem], params: Train) -> None:
        super().__init__()
        self.problems, self.params = problems, params
        self.rows = {name: Rows(problem) for name, problem in problems.items()}

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches of the trainer's current epoch; rebuilt every epoch (reload_dataloaders_every_n_epochs=1)."""
        return DataLoader(self.epoch(self.trainer.current_epoch if self.trainer else 0), batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[Batch]:
        batches = [Batch(name, *rows.held_out(self.params.validation_rows), 1.0) for name, rows in self.rows.items()]
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]

    def epoch(self, epoch: int) -> Epoch:
        return Epoch(self.rows, self.problems, self.params, epoch)


def _padded(rows: list[np.ndarray] | tuple[np.ndarray, ...] | object) -> tuple[Tensor, Tensor]:
    """Row numbers (n, longest), filled with zeros, and how many of each are real (n,)."""
    lists: list[np.ndarray] = list(rows)  # type: ignore[call-overload]
    counts = torch.tensor([len(some) for some in lists])
    table = torch.zeros(len(lists), int(counts.max()), dtype=torch.long)
    for index, some in enumerate(lists):
        table[index, : len(some)] = torch.from_numpy(some)
    return table, counts

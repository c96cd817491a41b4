"""Batches for stacks: in every step one set's networks each draw rows of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from components.labs.uncertainty.params import Train
from components.labs.uncertainty.training.problems import Problem
from components.training.epochs import Epoch, EpochData, epoch_seed, generator


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

    def drawn(self, count: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """`count` training rows of every network, drawn with replacement."""
        places = torch.rand(len(self.counts), count, generator=draw) * self.counts[:, None]
        return self.taken(self.train.gather(1, places.long()))

    def held_out(self, most: int) -> tuple[Tensor, Tensor]:
        """The first `most` rows that each network leaves out; where it has fewer, they come again."""
        count = min(most, int(self.left_out_counts.max()))
        places = torch.arange(count)[None, :] % self.left_out_counts[:, None]
        return self.taken(self.left_out.gather(1, places))


class UncertaintyData(EpochData[Batch]):
    """The problems' rows; an epoch has its share of each set's steps, set after set."""

    def __init__(self, problems: Mapping[str, Problem], params: Train) -> None:
        super().__init__()
        self.problems, self.params = problems, params
        self.rows = {name: Rows(problem) for name, problem in problems.items()}

    def epoch(self, epoch: int) -> Epoch[Batch]:
        seed = epoch_seed(self.params.seed, epoch)
        steps: list[tuple[str, int]] = []
        for name, problem in self.problems.items():
            first, last = (problem.recipe.steps * each // self.params.max_epochs for each in (epoch, epoch + 1))
            steps += [(name, step) for step in range(first, last)]

        def make(index: int, place: tuple[str, int]) -> Batch:
            name, step = place
            recipe = self.problems[name].recipe
            rows = self.rows[name].drawn(recipe.batch_size, generator(seed + 1 + index))
            return Batch(name, *rows, step / recipe.steps)

        return Epoch(steps, make)

    def validation_batches(self) -> list[Batch]:
        return [Batch(name, *rows.held_out(self.params.validation_rows), 1.0) for name, rows in self.rows.items()]


def _padded(rows: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Row numbers (n, longest), filled with zeros, and how many of each are real (n,)."""
    counts = torch.tensor([len(some) for some in rows])
    table = torch.zeros(len(rows), int(counts.max()), dtype=torch.long)
    for index, some in enumerate(rows):
        table[index, : len(some)] = torch.from_numpy(some)
    return table, counts

"""What an epoch shows is a function of (seed, epoch), and its batches can be asked for in any order."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.training.epochs import Epoch, EpochData, batches_of, epoch_seed, generator


class Numbers(EpochData[torch.Tensor]):
    def epoch(self, epoch: int) -> Epoch[torch.Tensor]:
        seed = epoch_seed(7, epoch)
        order = torch.randperm(10, generator=generator(seed))
        return Epoch(batches_of(order, 4, smallest=2), lambda index, rows: rows + 100 * index)

    def validation_batches(self) -> list[torch.Tensor]:
        return [torch.zeros(3)]


@given(st.integers(0, 40), st.integers(1, 9), st.floats(0, 1))
def test_every_row_is_in_one_batch_but_for_a_last_one_that_is_too_small(count: int, size: int, share: float) -> None:
    smallest = max(1, round(share * size))
    pieces = batches_of(np.arange(count), size, smallest)
    kept = count if count % size == 0 or count % size >= smallest else count - count % size
    assert np.concatenate([*pieces, np.zeros(0, int)]).tolist() == list(range(kept))
    assert all(len(piece) == size for piece in pieces[:-1])


def test_a_batch_is_the_same_whenever_it_is_asked_for() -> None:
    epoch = Numbers().epoch(3)
    backwards = [epoch[index] for index in reversed(range(len(epoch)))]
    assert all(torch.equal(one, other) for one, other in zip(epoch, reversed(backwards), strict=True))
    assert sorted(int(row) % 100 for batch in epoch for row in batch) == list(range(10))
    for index in (-1, len(epoch)):
        with pytest.raises(IndexError):
            epoch[index]


def test_the_loader_shows_the_trainer_s_epoch_and_validation_as_it_is() -> None:
    data = Numbers()
    for number in (0, 5):
        data.trainer = SimpleNamespace(current_epoch=number)  # type: ignore[assignment]
        shown = list(data.train_dataloader())
        assert all(torch.equal(one, other) for one, other in zip(shown, data.epoch(number), strict=True))
    assert [batch.tolist() for batch in data.val_dataloader()] == [[0, 0, 0]]
    assert not torch.equal(data.epoch(0)[0], data.epoch(5)[0])


def test_seeds_stay_below_what_torch_accepts_and_small_ones_are_what_they_were() -> None:
    assert epoch_seed(1, 2) == (100_003 + 2) * 100_003
    largest, before = (epoch_seed(seed, 10**6) for seed in (2**32 - 1, 2**32 - 2))
    assert largest != before
    generator(max(largest, before) + math.ceil(1e6))

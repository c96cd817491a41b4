"""The learning rate of a training, and what decays."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from components.training.lr_schedule import one_cycle, set_learning_rate, with_one_cycle
from components.training.optimizers import decay_groups


@given(st.floats(0.01, 0.99), st.integers(2, 500))
def test_the_learning_rate_rises_to_the_highest_and_ends_at_zero(warmup: float, steps: int) -> None:
    rates = [one_cycle(step / steps, warmup) for step in range(steps + 1)]
    top = sum(step / steps < warmup for step in range(steps + 1))
    assert rates[0] == 0
    assert max(rates) <= 1
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert math.isclose(one_cycle(warmup, warmup), 1)
    assert abs(rates[-1]) < 1e-12


def test_every_step_of_every_group_follows_the_schedule() -> None:
    matrix, bias = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))
    groups: list[dict[str, Any]] = [{"params": [matrix], "lr": 2.0}, {"params": [bias]}]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    trainer: Any = SimpleNamespace(estimated_stepping_batches=10)
    schedule = with_one_cycle(optimizer, trainer, warmup=0.2)["lr_scheduler"]["scheduler"]
    for step in range(11):
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(
            [2 * one_cycle(step / 10, 0.2), one_cycle(step / 10, 0.2)]
        )
        optimizer.step()
        schedule.step()
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_matrices_decay_and_vectors_do_not() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    decayed, others = decay_groups(network.parameters(), 0.1)
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert {weight.ndim for weight in decayed["params"]} == {2, 4}
    assert {weight.ndim for weight in others["params"]} == {1}
    assert len(decayed["params"]) + len(others["params"]) == len(list(network.parameters()))

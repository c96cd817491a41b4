"""The learning rate of a training."""

import math

from hypothesis import given
from hypothesis import strategies as st

from components.training.lr_schedule import one_cycle


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

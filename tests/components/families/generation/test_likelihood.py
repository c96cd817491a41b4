"""Both likelihoods are probabilities of discrete pictures, so that bounds in nats are honest."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from components.families.generation.training.likelihood import bernoulli, logistic
from components.training.divergence import divergence_from_normal


@given(value=st.floats(-20, 20), log_scale=st.floats(-7, 2))
def test_the_256_bytes_of_a_pixel_share_one_probability(value: float, log_scale: float) -> None:
    """Extreme places and scales too: nothing gets lost to differences of nearly equal numbers."""
    every = torch.arange(256, dtype=torch.float64).view(256, 1, 1, 1) / 255
    values = torch.full_like(every, value)
    scales = torch.tensor([log_scale], dtype=torch.float64)
    found = logistic(values, scales, every)
    assert found.isfinite().all()
    assert float(found.exp().sum()) == pytest.approx(1, abs=1e-9)


def test_the_byte_in_the_middle_of_the_distribution_is_the_likeliest() -> None:
    every = torch.arange(256.0).view(256, 1, 1, 1) / 255
    place = 100 / 255
    values = torch.full_like(every, math.log(place / (1 - place)))
    assert int(logistic(values, torch.tensor([-4.0]), every).argmax()) == 100


def test_log_likelihoods_add_up_over_pixels_and_channels() -> None:
    draw = torch.Generator().manual_seed(0)
    pictures = torch.randint(256, (3, 2, 4, 4), generator=draw) / 255
    values = torch.randn(3, 2, 4, 4, generator=draw)
    scales = torch.tensor([-2.0, -1.0])
    parts = [
        logistic(
            values[:, c : c + 1, y : y + 1, x : x + 1], scales[c : c + 1], pictures[:, c : c + 1, y : y + 1, x : x + 1]
        )
        for c in range(2)
        for y in range(4)
        for x in range(4)
    ]
    assert torch.allclose(torch.stack(parts).sum(dim=0), logistic(values, scales, pictures), atol=1e-4)
    inked = (pictures > 0.5).float()
    assert torch.allclose(
        bernoulli(values, inked), torch.distributions.Bernoulli(logits=values).log_prob(inked).sum((1, 2, 3))
    )


def test_the_divergence_is_that_of_two_normal_distributions() -> None:
    draw = np.random.default_rng(0)
    means, log_variances = (torch.from_numpy(draw.normal(size=(5, 7))) for _ in range(2))
    expected = kl_divergence(Normal(means, (log_variances / 2).exp()), Normal(0.0, 1.0)).sum(dim=1)
    assert torch.allclose(divergence_from_normal(means, log_variances), expected)

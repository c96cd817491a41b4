"""Attention looks back over the tune: where it may look, and that a tune in pieces is seen as the whole one."""

from __future__ import annotations

import pytest
import torch

from components.labs.music.params import Train
from components.labs.music.training.attention import Attention
from tests.face_data import section

CHARACTERS = 83


@pytest.fixture
def attention() -> Attention:
    params = section(Train, "music", "train")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "attention_lag": 4, "attention_window": 10}
    return Attention(CHARACTERS, params.model_copy(update=sizes)).eval()


@pytest.fixture
def tune() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(1, 20, 32), torch.randint(0, CHARACTERS, (1, 20))


def nothing(attention: Attention) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(1, 0, attention.size), torch.zeros(1, 0, dtype=torch.int64)


def test_it_sees_what_is_between_its_lag_and_its_window_and_nothing_else(
    attention: Attention, tune: tuple[torch.Tensor, torch.Tensor]
) -> None:
    hidden, ids = tune
    before = attention(hidden, ids, *nothing(attention))[0][0, 15]
    for position in range(20):
        changed = ids.clone()
        changed[0, position] += 1
        seen = not torch.equal(before, attention(hidden, changed % CHARACTERS, *nothing(attention))[0][0, 15])
        assert seen == (4 <= 15 - (position - 1) < 10)  # the character after the one that is looked back at


def test_where_nothing_may_be_seen_nothing_is_added(
    attention: Attention, tune: tuple[torch.Tensor, torch.Tensor]
) -> None:
    found = attention(*tune, *nothing(attention))[0]
    assert torch.equal(found[:, :4], torch.zeros(1, 4, CHARACTERS))
    assert (found[:, 4:] != 0).all()


@pytest.mark.parametrize("cut", [1, 7, 19])
def test_a_tune_in_pieces_is_seen_as_the_whole_one(
    attention: Attention, tune: tuple[torch.Tensor, torch.Tensor], cut: int
) -> None:
    hidden, ids = tune
    whole, keys, past = attention(hidden, ids, *nothing(attention))
    first, *state = attention(hidden[:, :cut], ids[:, :cut], *nothing(attention))
    second, *state = attention(hidden[:, cut:], ids[:, cut:], *state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    torch.testing.assert_close(state, [keys, past])

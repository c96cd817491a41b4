"""The rounds: who drives, what is kept of them, and what the network reads."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import Tensor

from components.datasets.driving.game_reader import Racing
from components.labs.driving.training.collection import Eyes, collect
from components.labs.driving.training.network import Driver, pictures_of, readings_of, within_range
from components.labs.driving.training.rounds import DaggerData
from tests.components.labs.driving.made import FRAMES, advanced, environment, train


def straight_on(pictures: Tensor, readings: Tensor) -> Tensor:
    return torch.tensor([[0.0, 0.5, 0.0]])


def data() -> DaggerData:
    return DaggerData(environment(), train(), drive=lambda: straight_on)


def test_an_epochs_batches_are_a_function_of_its_number() -> None:
    first, second = data(), data()
    for epoch in range(2):
        one, other = first.epoch(epoch), second.epoch(epoch)
        assert len(one) == len(other) == train().updates_of(epoch)
        for batch, again in zip((one[0], one[3]), (other[0], other[3]), strict=True):
            assert all(torch.equal(*pair) for pair in zip(batch, again, strict=True))
    assert not torch.equal(first.epoch(1)[0].actions, first.epoch(1)[1].actions)


def test_rounds_outlive_a_kill_in_the_checkpoint() -> None:
    """The network that drove them is gone by then: nobody may have to drive again."""
    before = data()
    before.epoch(0)
    batch = before.epoch(1)[5]
    file = io.BytesIO()
    torch.save(before.state_dict(), file)
    file.seek(0)

    def nobody(pictures: Tensor, readings: Tensor) -> Tensor:
        raise AssertionError("a round was driven again")

    after = DaggerData(environment(), train(), drive=lambda: nobody)
    after.load_state_dict(torch.load(file, weights_only=True))
    assert all(torch.equal(*pair) for pair in zip(batch, after.epoch(1)[5], strict=True))


def test_half_a_batch_is_of_the_newest_round() -> None:
    rounds = data()
    rounds.epoch(0)
    rounds.epoch(1)
    rounds.rounds[1].actions.fill_(7.0)
    batches = rounds.epoch(1)
    newest = [(batches[index].actions == 7.0).all(dim=1) for index in range(4)]
    assert all(rows[len(rows) // 2 :].all() for rows in newest)
    assert not all(rows[: len(rows) // 2].all() for rows in newest)


def test_every_decision_is_labelled_by_the_expert_whoever_drives() -> None:
    game, draw = Racing(FRAMES), np.random.default_rng(0)
    found = collect(game, [3, 4], train(), draw, straight_on)
    assert len(found.actions) == 2 * FRAMES // 4
    assert found.before.tolist()[:3] == [0, 0, 1]
    assert found.before.tolist()[25:27] == [25, 25], "an episode's first decision has no earlier one"
    assert found.actions[:, 0].abs().max() > 0.1, "the expert steers, and the driver does not"


def test_the_readings_say_how_fast_the_car_is() -> None:
    speeds, read = [], []
    for frames in (10, 40, 60, 80):
        game = advanced(Racing(1000), frames)
        speeds.append(float(np.hypot(*game.car.hull.linearVelocity)))
        read.append(float(readings_of(torch.from_numpy(game.frame().copy()))[0]))
    assert np.corrcoef(speeds, read)[0, 1] > 0.98


def test_the_readings_tell_left_from_right() -> None:
    for steering, side in ((-1.0, 5), (1.0, 6)):
        game = advanced(Racing(1000), 30)
        game.hold(np.array([steering, 0.0, 0.0]), 8)
        readings = readings_of(torch.from_numpy(game.frame().copy()))
        other = 11 - side
        assert readings[side] > 0.3 > 0.05 > readings[other]


def test_pictures_are_the_green_channel_at_half_the_size() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    expected = frame[:84, :, 1].reshape(42, 2, 48, 2).astype(int).sum(axis=(1, 3)) // 4
    assert np.array_equal(pictures_of(torch.from_numpy(frame)).numpy(), expected)


def test_the_first_decision_sees_its_own_frame_twice() -> None:
    eyes, draw = Eyes(), np.random.default_rng(0)
    frames = [draw.integers(0, 256, (96, 96, 3), dtype=np.uint8) for _ in range(2)]
    pictures, _ = eyes.look(frames[0])
    assert torch.equal(pictures[0, 0], pictures[0, 1])
    later, _ = eyes.look(frames[1])
    assert torch.equal(later[0, 0], pictures[0, 1])
    assert not torch.equal(later[0, 0], later[0, 1])


def test_actions_stay_in_their_ranges() -> None:
    found = within_range(torch.tensor([[-3.0, -1.0, 2.0], [0.5, 0.5, 0.5]]))
    assert found.tolist() == [[-1.0, 0.0, 1.0], [0.5, 0.5, 0.5]]


def test_the_default_network_is_small() -> None:
    from components.labs.driving.params import Train
    from tests.face_data import section

    default = section(Train, "driving", "train")
    count = sum(weight.numel() for weight in Driver(default.channels, default.hidden_size).parameters())
    assert count == pytest.approx(164_000, rel=0.01)

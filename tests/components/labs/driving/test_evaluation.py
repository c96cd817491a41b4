"""An exported driver, in gymnasium's own game and under disturbances."""

from __future__ import annotations

import numpy as np
import pytest

from components.bundle import Bundle
from components.datasets.driving.game_reader import racing
from components.errors import UserError
from components.labs.driving.evaluation.episodes import Drive, drive, drive_disturbed, noise
from components.labs.driving.evaluation.measures import costliest, summary
from components.labs.driving.runtime import Driver, DrivingPolicy, play
from tests.components.labs.driving.made import environment, write_untrained


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(write_untrained(tmp_path_factory.mktemp("bundle"), tmp_path_factory.mktemp("prepared")))


@pytest.fixture(scope="module")
def policy(bundle: Bundle) -> DrivingPolicy:
    return DrivingPolicy.load(bundle, "float")


def test_the_quicker_game_measures_what_gymnasiums_does(policy: DrivingPolicy) -> None:
    described = environment()
    theirs, ours = drive(described, policy, 2), drive_disturbed(racing(described), policy, 2)
    assert ours.length == theirs.length
    assert ours.total == pytest.approx(theirs.total)
    assert len(theirs.frames) == len(theirs.rewards) == 25


def test_what_is_served_drives_as_what_is_measured(policy: DrivingPolicy) -> None:
    moments = list(play(environment(), policy, 2))
    assert len(moments) == 25
    assert moments[-1].done
    assert moments[-1].total == pytest.approx(drive(environment(), policy, 2).total)


@pytest.mark.parametrize("delay", [1, 3, 4, 6])
def test_a_delayed_driver_sees_the_frame_of_so_long_ago(delay: int, policy: DrivingPolicy) -> None:
    described, seen, real = environment(), list[np.ndarray](), list[np.ndarray]()

    def remember(frame: np.ndarray) -> np.ndarray:
        seen.append(frame)
        return frame

    drive_disturbed(racing(described), policy, 2, remember, delay)
    game, driver = racing(described), Driver(policy)
    game.start(2)
    for frame in seen:
        action = driver.decide(frame)
        for _ in range(policy.hold):
            real.append(game.frame())
            game.hold(action, 1)
    for index, frame in enumerate(seen):
        assert np.array_equal(frame, real[max(0, policy.hold * index - delay)])


def test_noise_has_the_spread_that_is_asked_for() -> None:
    frame = np.full((96, 96, 3), 128, np.uint8)
    noisy = noise(16.0, np.random.default_rng(0))(frame)
    assert noisy.dtype == np.uint8
    assert (noisy.astype(float) - 128).std() == pytest.approx(16, rel=0.05)


def test_the_policy_answers_each_observation_alone(policy: DrivingPolicy) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 2, 96, 96, 3), dtype=np.uint8)
    together = policy.act(frames)
    assert np.allclose(together, np.concatenate([policy.act(frame[None]) for frame in frames]), atol=1e-5)
    assert (np.abs(together[:, 0]) <= 1).all()
    assert (together[:, 1:] >= 0).all()


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 2, 96, 96, 3), np.float32), np.zeros((1, 2, 84, 96, 3), np.uint8), np.zeros((96, 96, 3))]
)
def test_what_is_no_pair_of_frames_is_refused_in_one_line(wrong: np.ndarray, policy: DrivingPolicy) -> None:
    with pytest.raises(UserError, match="2 frames of 96 x 96 x 3 bytes"):
        policy.act(wrong)


def test_figures_of_returns() -> None:
    drives = [Drive(seed, total, 900) for seed, total in enumerate([950.0, 900.0, 850.0, 920.0])]
    found = summary(drives, 900.0, seed=1)
    assert (found["mean_return"], found["median_return"], found["min_return"]) == (905.0, 910.0, 850.0)
    assert found["solved_share"] == 0.75
    assert 850 < found["mean_return_low"] < 905 < found["mean_return_high"] < 950


def test_a_strip_begins_where_the_episode_gained_the_least() -> None:
    assert costliest(Drive(1, 0.0, 0, (9.0, 9.0, 0.0, 1.0, 0.0, 9.0)), window=3) == 2
    assert costliest(Drive(1, 0.0, 0, (9.0, 1.0)), window=24) == 0

"""How a policy is judged: whole episodes, disturbances, intervals; and the pictures of it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from components.bundle import Bundle, write_bundle
from components.errors import UserError
from components.families.agents.evaluation.evaluate import acting, evaluate, random, returns_of
from components.families.agents.evaluation.measures import bootstrap_interval, summary
from components.families.agents.evaluation.published import Published
from components.families.agents.export import export
from components.families.agents.runtime.episodes import Disturbance, Moment, play
from components.families.agents.runtime.pictures import Scene, evenly, save_film, strip
from components.families.agents.runtime.policy import Policy
from tests.components.bundles import PROVENANCE
from tests.components.families.agents.made import cartpole, new_agent, section


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder, agent = tmp_path_factory.mktemp("bundle"), new_agent()
    for epoch in range(2):
        figures = {
            "val_return": 20.0 + epoch,
            "train_entropy": 0.6,
            "train_value_error": 0.1,
            "env_steps": 64.0 + epoch,
        }
        agent.history.record(epoch, {name: torch.tensor(value) for name, value in figures.items()}, 1.5)
    write_bundle(folder, "cartpole", export(agent, cartpole(), folder, section("export")), PROVENANCE)
    return Bundle.open(folder)


def upright(observation: np.ndarray) -> tuple[int, None]:
    """Pushes to where the pole leans and turns: it stands for a while."""
    return int(observation[2] + 0.5 * observation[3] > 0), None


def test_an_episode_goes_to_its_end_and_adds_up() -> None:
    moments = list(play(cartpole(), upright, 7))
    assert [moment.step for moment in moments] == list(range(len(moments)))
    assert [moment.done for moment in moments] == [False] * (len(moments) - 1) + [True]
    assert moments[-1].total == sum(moment.reward for moment in moments)
    assert [moment.action for moment in play(cartpole(), upright, 7)] == [moment.action for moment in moments]


def test_a_delay_shows_the_observation_of_so_many_steps_before() -> None:
    seen: list[np.ndarray] = []

    def act(observation: np.ndarray) -> tuple[int, None]:
        seen.append(observation)
        return len(seen) % 2, None

    shown: list[Moment] = list(play(cartpole(), act, 3, Disturbance(delay=2)))
    for step, observation in enumerate(seen):
        assert np.array_equal(observation, shown[max(0, step - 2)].observation)


def test_noise_has_the_standard_deviation_that_is_asked_for_and_changes_no_game() -> None:
    seen: list[np.ndarray] = []

    def act(observation: np.ndarray) -> tuple[int, None]:
        seen.append(observation)
        return len(seen) % 2, None

    unit, moved = np.array([1.0, 2.0, 0.0, 0.5]), []
    for seed in range(30):
        seen.clear()
        shown = list(play(cartpole(), act, seed, Disturbance(noise=unit)))
        moved += [observation - moment.observation for observation, moment in zip(seen, shown, strict=True)]
    assert np.std(moved, axis=0) == pytest.approx(unit, rel=0.15)


def test_each_test_seed_counts_once_and_random_actions_drop_the_pole() -> None:
    returns = returns_of(cartpole(), random(cartpole(), 1), 12)
    assert returns.shape == (12,)
    assert 10 < returns.mean() < 40
    assert np.array_equal(returns, returns_of(cartpole(), random(cartpole(), 1), 12))
    assert returns_of(cartpole(), upright, 3).mean() > 100


@given(st.lists(st.floats(0, 500), min_size=2, max_size=40))
def test_the_interval_holds_the_mean_and_is_a_point_where_all_are_equal(values: list[float]) -> None:
    returns = np.array(values)
    low, high = bootstrap_interval(returns, 500, 1)
    assert returns.min() - 1e-6 <= low <= high <= returns.max() + 1e-6
    assert low - 1e-6 <= np.median([low, returns.mean(), high]) <= high + 1e-6
    found = summary(returns, 250.0)
    assert found["min_return"] <= found["median_return"]
    assert found["solved_share"] == pytest.approx((returns >= 250).mean())


@pytest.mark.parametrize(
    ("observations", "said"),
    [
        (np.zeros((1, 3)), r"\(N, 4\), not \(1, 3\)"),
        (np.zeros(4), r"\(N, 4\), not \(4,\)"),
        (np.full((1, 4), np.nan), "no number"),
        (np.full((2, 4), 1e300), "too large"),
    ],
)
def test_what_no_game_shows_is_refused(bundle: Bundle, observations: np.ndarray, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Policy.load(bundle)(observations)


def test_a_policy_takes_its_likeliest_action_whatever_its_neighbours(bundle: Bundle) -> None:
    policy = Policy.load(bundle)
    seen = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    found = policy(seen)
    assert np.array_equal(found.actions, found.probabilities.argmax(axis=1))
    assert found.probabilities.sum(axis=1) == pytest.approx(1)
    assert acting(policy)(seen[5])[0] == found.actions[5]


def test_q_values_are_no_probabilities_so_the_greedy_action_has_all(tmp_path: Path) -> None:
    spec = export(new_agent(algorithm="dqn"), cartpole(), tmp_path, section("export"))
    write_bundle(tmp_path, "cartpole", spec, PROVENANCE)
    found = Policy.load(Bundle.open(tmp_path))(np.zeros((1, 4)))
    assert sorted(found.probabilities[0].tolist()) == [0.0, 1.0]


def test_a_report_shows_returns_robustness_film_and_failures(bundle: Bundle, tmp_path: Path) -> None:
    assert Published("an agent", None, "somewhere").shown == "no figure"
    few = section("evaluate").model_copy(update={"episodes": 6, "failures": 2})
    others = (Published("someone's agent", 123.0, "somewhere"), Published("the course", (252.0, 498.0), "five seeds"))
    found = evaluate(bundle, cartpole(), tmp_path, few, others)
    page = (tmp_path / "report.html").read_text()
    for caption in (
        "Return, against steps of the game",
        "Return, against seconds of training",
        "Entropy (nats)",
        "Squared value error",
    ):
        assert caption in page
    assert "65 steps of the game in 3 seconds" in page
    for words in (
        "someone&#x27;s agent",
        "252.0 to 498.0",
        "random actions",
        "Robustness",
        "image/gif",
        "The last steps",
        "seed 2000",
    ):
        assert words in page
    assert found.metrics["mean_return_low"] <= found.metrics["mean_return"] <= found.metrics["mean_return_high"]
    assert [sentence for sentence in found.limitations if "100 of 100 test episodes" in sentence]


@given(st.integers(1, 500), st.integers(1, 60))
def test_pictures_are_taken_evenly_the_first_and_the_last_among_them(count: int, most: int) -> None:
    found = evenly(count, most)
    assert len(found) <= most
    assert found[0] == 0
    assert found[-1] == count - 1 or most == 1


def test_a_film_holds_every_scene_and_a_strip_its_last_pictures(tmp_path: Path) -> None:
    pictures = [np.full((40, 60, 3), shade, np.uint8) for shade in range(0, 250, 10)]
    save_film(tmp_path / "film.gif", [Scene("one", pictures), Scene("two", pictures[::-1])], 5)
    with Image.open(tmp_path / "film.gif") as film:
        assert getattr(film, "n_frames", 1) >= 9, "equal neighbours are one picture"
    with Image.open(BytesIO(strip(Scene("", pictures), 4))) as shown:
        shades = [np.asarray(shown)[40, 60 + 120 * place, 0] for place in range(4)]
    assert shades == [150, 180, 210, 240]

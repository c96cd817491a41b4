"""What agents learn from: games side by side, returns, advantages, a replay memory; and that they learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components.errors import UserError
from components.families.agents.training.advantages import advantages
from components.families.agents.training.games import Games, Step, first_episodes
from components.families.agents.training.history import History
from components.families.agents.training.networks import Actor
from components.families.agents.training.replay import Replay
from tests.components.families.agents.made import cartpole, new_agent, train_params

SHAPE = (6, 2)
numbers = arrays.arrays(np.float32, SHAPE, elements=st.floats(-10, 10, width=32))
flags = arrays.arrays(np.bool_, SHAPE)


@given(numbers, numbers, numbers, flags, flags, st.floats(0, 0.99), st.floats(0, 1))
def test_advantages_are_the_sums_that_define_them(
    rewards: Any, values: Any, following: Any, terminated: Any, cut: Any, discount: float, trace: float
) -> None:
    done = terminated | cut
    parts = (rewards, values, following, terminated, done)
    a, b, c, d, e = (torch.from_numpy(np.asarray(each, np.float32)) for each in parts)
    found = advantages(a, b, c, d, e, discount, trace)
    for game in range(SHAPE[1]):
        for step in range(SHAPE[0]):
            total, weight = 0.0, 1.0
            for later in range(step, SHAPE[0]):
                after = 0 if terminated[later, game] else following[later, game]
                total += weight * (rewards[later, game] + discount * after - values[later, game])
                weight *= discount * trace
                if done[later, game]:
                    break
            assert float(found[step, game]) == pytest.approx(total, rel=1e-3, abs=1e-3)


def test_a_reset_step_is_not_valid_and_has_no_reward() -> None:
    games = Games(cartpole(), 3)
    games.begin("train", 0)
    was_done, ends = torch.zeros(3), 0
    for _ in range(80):
        step = games.step(torch.ones(3, dtype=torch.int64))
        assert torch.equal(step.valid, 1 - was_done)
        assert torch.equal(step.rewards, step.valid), "a step of CartPole is worth 1, a reset nothing"
        was_done, ends = step.done, ends + int(step.done.sum())
    assert ends == len(games.finished) > 5
    assert all(8 <= found <= 12 for found in games.finished), "pushed to the right the pole falls after about ten steps"


def test_an_epochs_games_are_those_of_its_number() -> None:
    games = Games(cartpole(), 2)
    seen = []
    for index in (3, 4, 3, 10**18):
        games.begin("train", index)
        seen.append(games.observations)
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])


def test_every_game_counts_its_first_episode_and_no_other() -> None:
    games = Games(cartpole(), 5)
    games.begin("validation", 0)
    returns = first_episodes(games, lambda seen: torch.tensor([0, 0, 0, 0, int(seen[4, 2] > 0)]))
    assert len(returns) == 5
    assert max(returns[:4]) <= 12
    assert returns[4] > 20, "the one that plays better is waited for"


def steps(numbers: range, valid: list[float]) -> Step:
    values = torch.arange(numbers.start, numbers.stop, dtype=torch.float32)
    return Step(values[:, None], values.long(), values, values[:, None], values, values, torch.tensor(valid))


def test_a_replay_memory_forgets_the_oldest_and_takes_valid_steps_only() -> None:
    memory = Replay(4)
    memory.add(steps(range(0, 3), [1.0, 0.0, 1.0]))
    assert memory.seen == 2
    memory.add(steps(range(3, 6), [1.0, 1.0, 1.0]))
    drawn = memory.draw(200, torch.Generator().manual_seed(0))
    assert set(drawn.rewards.tolist()) == {2.0, 3.0, 4.0, 5.0}
    assert torch.equal(drawn.observations[:, 0], drawn.rewards)
    again = Replay(4)
    again.restore(memory.state())
    assert torch.equal(again.draw(50, torch.Generator().manual_seed(1)).rewards,
                       memory.draw(50, torch.Generator().manual_seed(1)).rewards)  # fmt: skip


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce", "dqn"])
def test_an_update_changes_the_policy_and_says_how_it_went(algorithm: str) -> None:
    agent = new_agent(algorithm=algorithm)
    agent.games.begin("train", 0)
    before = torch.cat([weight.flatten().clone() for weight in agent.network.actions.parameters()])
    found = [agent.update(agent.games) for _ in range(4)][-1]
    after = torch.cat([weight.flatten() for weight in agent.network.actions.parameters()])
    assert not torch.equal(before, after)
    assert all(np.isfinite(float(value)) for value in found.values())
    assert "train_value_error" in found


def test_stages_are_the_policy_before_training_and_after_epochs_that_double() -> None:
    agent = new_agent(max_epochs=5)
    seen = {0: agent.stages.weights[0].clone()}
    for epoch in range(1, 6):
        with torch.no_grad():
            next(iter(agent.network.actions.parameters())).add_(epoch)
        agent.stages.record(epoch)
        seen[epoch] = torch.nn.utils.parameters_to_vector(agent.network.actions.parameters()).clone()
    found = {epoch: torch.nn.utils.parameters_to_vector(net.parameters()) for epoch, net in agent.stages.networks()}
    assert list(found) == [0, 1, 2, 4]
    assert all(torch.equal(seen[epoch], weights) for epoch, weights in found.items())


def test_a_unit_for_each_number_that_is_seen_or_one_line() -> None:
    with pytest.raises(UserError, match="observation_unit has 3 numbers, and an observation of cartpole is of shape"):
        new_agent(observation_unit=(1.0, 1.0, 1.0))


def test_an_option_that_the_game_does_not_know_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"gymnasium cannot make CartPole-v1 with .*'gravity': 1.*gravity"):
        _ = new_agent(options={"gravity": 1}).games


def test_an_agent_clips_its_gradients_itself() -> None:
    with pytest.raises(ValueError, match="leave gradient_clip out"):
        type(train_params()).model_validate({**train_params().model_dump(), "gradient_clip": 1.0})


def test_the_history_of_epochs_has_the_figures_that_were_logged_and_no_others() -> None:
    history = History(5)
    history.record(0, {"train_return": torch.tensor(3.0), "loss": torch.tensor(1.0)}, 2.0)
    history.record(1, {"train_return": torch.tensor(4.0), "train_entropy": torch.tensor(0.5)}, 1.5)
    found = {"epoch": [1.0, 2.0], "train_return": [3.0, 4.0], "train_entropy": [0.0, 0.5], "seconds": [2.0, 3.5]}
    assert history.columns() == found


def test_a_resumed_history_counts_on() -> None:
    history, resumed = History(3), History(3)
    history.record(0, {"env_steps": torch.tensor(100.0)}, 2.0)
    resumed.load_state_dict(history.state_dict())
    assert resumed.env_steps() == 100
    resumed.record(1, {"env_steps": torch.tensor(250.0)}, 3.0)
    assert resumed.columns() == {"epoch": [1.0, 2.0], "env_steps": [100.0, 250.0], "seconds": [2.0, 5.0]}


def test_resets_are_no_steps_of_the_game() -> None:
    games = Games(cartpole(), 3)
    games.begin("train", 0)
    valid = sum(int(games.step(torch.ones(3, dtype=torch.int64)).valid.sum()) for _ in range(40))
    assert games.played == valid < 120


def test_the_policy_in_numpy_is_the_networks_and_draws_by_its_probabilities() -> None:
    network: Any = new_agent().network
    seen = torch.randn(500, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.actions[-1].bias.copy_(torch.tensor([0.0, 1.0]))
        scores = network(seen)
    actor = Actor(network.actions)
    assert actor.scores(seen.numpy()) == pytest.approx(scores.numpy(), abs=1e-5)
    drawn = torch.stack([actor.draw(seen, torch.Generator().manual_seed(seed)) for seed in range(40)])
    assert float(drawn.float().mean()) == pytest.approx(float(scores.softmax(1)[:, 1].mean()), abs=0.01)
    assert torch.equal(drawn[3], actor.draw(seen, torch.Generator().manual_seed(3)))

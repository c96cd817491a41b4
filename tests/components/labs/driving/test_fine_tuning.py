"""PPO after imitation: rewards move the policy, a kill costs nothing, and what is exported has the same interface."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.datasets.driving.game_reader import Racing
from components.labs import Inputs, Lab, find
from components.labs.driving.params import Export, Train
from components.labs.driving.training.fine_tuning import FineTuning
from components.labs.driving.training.network import Driver
from components.training.trainer import fit
from tests.components.labs.driving.made import FRAMES, train, write_prepared
from tests.face_data import section


def tuned(epochs: int, **changes: Any) -> Train:
    """Two rounds of imitation and so many epochs of PPO, the first of which may teach the value only."""
    small = train().fine_tuning.model_dump() | {"epochs": epochs, "learning_rate": 1e-3} | changes
    return train(fine_tuning=small, max_epochs=2 + epochs, patience=9)


class Killed(Exception):  # noqa: N818 - it is no error of the project's
    """Stands for a kill between two epochs."""


def killed_before(epoch: int) -> Lab:
    lab: Any = type(find("driving"))

    class Mortal(lab):  # type: ignore[misc]
        def data(self, inputs: Inputs, params: Any) -> Any:
            made = super().data(inputs, params)
            whole = made.epoch

            def until(number: int) -> Any:
                if number == epoch:
                    raise Killed
                return whole(number)

            made.epoch = until
            return made

    mortal: Lab = Mortal()
    return mortal


def state(folder: Path, name: str = "last.ckpt") -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(folder / name, weights_only=True)["state_dict"]
    return found


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], part: str) -> bool:
    return any(not torch.equal(before[name], after[name]) for name in before if name.startswith(part))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One training without a stop, and one that was killed between its epochs of PPO."""
    folder, lab = tmp_path_factory.mktemp("tuned"), find("driving")
    inputs, params = Inputs(write_prepared(folder / "prepared", frames=60)), tuned(2)
    fit(lab, params, inputs, folder / "whole")
    with pytest.raises(Killed):
        fit(killed_before(3), params, inputs, folder / "killed")
    shutil.copytree(folder / "killed", folder / "before")
    fit(lab, params, inputs, folder / "killed")
    return {path.name: path for path in folder.iterdir()}


def test_rewards_move_the_policy_and_the_value(trained: dict[str, Path]) -> None:
    before, end = state(trained["before"]), state(trained["whole"])
    for part in ("network.", "fine_tuning.critic.", "fine_tuning.log_deviation"):
        assert moved(before, end, part)


def test_a_killed_fine_tuning_ends_as_if_it_never_had_been(trained: dict[str, Path]) -> None:
    whole, resumed = state(trained["whole"]), state(trained["killed"])
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole if name != "curve.seconds")
    assert (trained["whole"] / "curve.csv").read_text() == (trained["killed"] / "curve.csv").read_text()


def test_a_fine_tuned_driver_is_exported_with_the_same_interface(trained: dict[str, Path], tmp_path: Path) -> None:
    lab, inputs = find("driving"), Inputs(trained["prepared"])
    model: Any = lab.module(inputs, tuned(2))
    model.load_state_dict(state(trained["whole"]))
    spec = lab.export(model, inputs, tmp_path, section(Export, "driving", "export", calibration_tracks=1))
    assert spec.spec["algorithm"] == "dagger+ppo"
    import onnxruntime

    session = onnxruntime.InferenceSession(spec.graphs["float"])
    assert [value.name for value in session.get_inputs()] == ["frames"]
    actions = session.run(["actions"], {"frames": np.zeros((3, 2, 96, 96, 3), np.uint8)})[0]
    assert actions.shape == (3, 3)


def test_imitation_alone_has_nothing_of_it() -> None:
    model: Any = find("driving").module(Inputs(Path()), train())
    assert model.fine_tuning is None
    assert isinstance(model.configure_optimizers(), torch.optim.Adam)


def test_better_actions_become_likelier_once_the_value_is_learnt() -> None:
    """A game in which steering to the right is what pays: after some updates the network steers there."""
    torch.manual_seed(0)
    params = tuned(1, deviation=0.3, passes=4, minibatch=64)
    network, tuning = Driver(params.channels, params.hidden_size), FineTuning(params)
    optimizer = torch.optim.Adam([*network.parameters(), *tuning.parameters()], lr=2e-3)

    def descend(loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    class RightPays(Racing):
        def hold(self, action: np.ndarray, frames: int) -> tuple[float, bool]:
            _, over = super().hold(np.array([0.0, 0.3, 0.0]), frames)
            return float(action[0]), over

    game, draw, steering = RightPays(FRAMES), torch.Generator().manual_seed(0), list[float]()
    for update in range(8):
        played, _ = tuning.play(network, game, [1], draw)
        steering.append(float(played.actions[:, 0].mean()))
        before = copy.deepcopy(network.state_dict())
        tuning.learn(network, played, draw, descend, critic_only=update == 0)
        assert moved(before, network.state_dict(), "") == (update > 0), "at first the policy is only watched"
    assert steering[-1] > steering[0] + 0.2


def test_some_round_of_imitation_must_come_first() -> None:
    with pytest.raises(ValueError, match="a round of DAgger must come before"):
        train(fine_tuning=train().fine_tuning.model_dump() | {"epochs": 2})

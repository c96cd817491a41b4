"""From a package to a prepared environment: its description, and reference episodes that `validate` plays again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.datasets.environments.params import EnvironmentParams
from components.datasets.environments.reader import FILE, SPLITS, Environment
from components.datasets.environments.rollouts import Policies, reference_rollouts
from components.errors import UserError, one_line
from components.files import write_json
from components.sources.catalogue import packages_of
from components.sources.installed import check_installed

if TYPE_CHECKING:
    import gymnasium

EPISODES = "episodes.json"


def prepare(name: str, out: Path, params: EnvironmentParams, policies: Policies) -> dict[str, Any]:
    """Writes environment.json, episodes.json and report.json.

    Raises UserError where a package is missing, has another version than the one declared, or knows no such game.
    """
    packages = packages_of(name)
    check_installed(name, packages)
    environment = describe(name, packages, params)
    count = min(params.limit or params.reference_episodes, params.reference_episodes)
    episodes = reference_rollouts(environment, policies, count)
    write_json(out / FILE, environment.model_dump(mode="json"))
    write_json(out / EPISODES, [episode.model_dump() for episode in episodes])
    report = {
        "dataset": name,
        "environment": environment.id,
        "packages": packages,
        "splits": {split: len([episode for episode in episodes if episode.split == split]) for split in SPLITS},
        "seeds": {split: list(ends) for split, ends in environment.seeds.items()},
        "mean_return": {
            policy: sum(episode.total for episode in episodes if episode.policy == policy) / (count * len(SPLITS))
            for policy in policies
        },
        "dropped": {},
    }
    write_json(out / "report.json", report)
    return report


def describe(name: str, packages: dict[str, str], params: EnvironmentParams) -> Environment:
    """The environment that parameters ask for. Raises UserError where there is none such."""
    import gymnasium

    described = Environment(
        name=name,
        id=params.environment,
        packages=packages,
        options=params.options,
        wrappers=tuple((wrapper.name, dict(wrapper.options)) for wrapper in params.wrappers),
        actions=params.actions,
        solved_return=params.solved_return,
        seeds={split: (seeds.first, seeds.last) for split, seeds in params.seeds.items()},
        max_steps=None,
        observation_shape=(),
        observation_dtype="",
        action_count=0,
    )
    try:
        game = described.make()
    except (gymnasium.error.Error, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"datasets.{name}: gymnasium cannot make {params.environment}: {one_line(error)}") from None
    observations, actions = game.observation_space, game.action_space
    found = described.model_copy(
        update={
            "max_steps": _max_steps(game),
            "observation_shape": observations.shape,
            "observation_dtype": str(observations.dtype),
            "action_count": int(actions.n) if isinstance(actions, gymnasium.spaces.Discrete) else 0,
        }
    )
    game.close()
    return found


def _max_steps(game: gymnasium.Env[Any, Any]) -> int | None:
    spec = game.spec
    return spec.max_episode_steps if spec else None

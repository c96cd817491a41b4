"""Many games of an environment side by side, as training plays them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from components.datasets.environments.reader import Environment
from components.errors import UserError

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv


def vector(environment: Environment, count: int) -> VectorEnv[Any, Any, Any]:
    """`count` games, each reset in the step after its end (AutoresetMode.NEXT_STEP): that step ignores its action and
    returns reward 0, and the step of the end returns the true last observation.

    gymnasium's own vectorised game where it has one, and nothing is wrapped; else one game after the other. Raises
    UserError where an environment has real numbers as actions and no vectorised form.
    """
    import gymnasium

    if environment.action_count == 0:
        raise UserError(f"{environment.name} has no actions to choose from: its games are not played side by side")
    spec = gymnasium.spec(environment.id)
    if spec.vector_entry_point is not None and not environment.wrappers and not environment.actions:
        return gymnasium.make_vec(
            environment.id, num_envs=count, vectorization_mode="vector_entry_point", **environment.options
        )
    return gymnasium.vector.SyncVectorEnv([partial(environment.make) for _ in range(count)])

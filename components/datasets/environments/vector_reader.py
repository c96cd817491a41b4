"""Many games of an environment side by side, as training plays them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from components.datasets.environments.reader import Environment, register
from components.errors import UserError, one_line

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

ATARI_WRAPPERS = ["AtariPreprocessing", "FrameStackObservation"]
ATARI_OPTIONS = {"repeat_action_probability", "max_num_frames_per_episode"}
ATARI_FIXED = {"frameskip": 1, "obs_type": "grayscale"}
"""Other options of gymnasium.make, as the wrappers need them."""


def vector(environment: Environment, count: int) -> VectorEnv[Any, Any, Any]:
    """`count` games, each reset in the step after its end (AutoresetMode.NEXT_STEP): that step ignores its action and
    returns reward 0, and the step of the end returns the true last observation.

    gymnasium's own vectorised game where it has one, and nothing is wrapped; ALE's for its games where the wrappers are
    AtariPreprocessing and FrameStackObservation; else one game after the other. Raises UserError where an environment
    has real numbers as actions, or does not take its options.
    """
    import gymnasium

    if environment.action_count == 0:
        raise UserError(f"{environment.name} has no actions to choose from: its games are not played side by side")
    register(environment.packages)
    if environment.id.startswith("ALE/") and [name for name, _ in environment.wrappers] == ATARI_WRAPPERS:
        return _atari(environment, count)
    spec = gymnasium.spec(environment.id)
    try:
        if spec.vector_entry_point is not None and not environment.wrappers and not environment.actions:
            return gymnasium.make_vec(
                environment.id, num_envs=count, vectorization_mode="vector_entry_point", **environment.options
            )
        return gymnasium.vector.SyncVectorEnv([partial(environment.make) for _ in range(count)])
    except (gymnasium.error.Error, AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"gymnasium cannot make {environment.id} with {environment.options}: {one_line(error)}"
        ) from None


def _atari(environment: Environment, count: int) -> VectorEnv[Any, Any, Any]:
    """The same preprocessing in C++, on a thread for each core: it plays twice as many steps per second of one core.

    Its draws are others than gymnasium's, so that a seed begins another episode there; `evaluate` plays gymnasium's.
    """
    import gymnasium
    import numpy as np
    from ale_py import AtariVectorEnv

    other = {name: value for name, value in environment.options.items() if name not in ATARI_OPTIONS}
    if other != ATARI_FIXED:
        raise UserError(
            f"{environment.name}: games side by side take the options {', '.join(sorted(ATARI_OPTIONS))} only, beside "
            f"{ATARI_FIXED}, and not {other}"
        )
    (_, pictures), (_, stack) = environment.wrappers
    width, height = pictures["screen_size"]
    made = AtariVectorEnv(
        _rom(environment.id),
        count,
        repeat_action_probability=environment.options["repeat_action_probability"],
        max_num_frames_per_episode=environment.options["max_num_frames_per_episode"],
        img_height=height,
        img_width=width,
        stack_num=stack["stack_size"],
        frameskip=pictures["frame_skip"],
        noop_max=pictures["noop_max"],
        use_fire_reset=False,
        reward_clipping=False,
    )
    numbers = np.array(environment.actions or range(environment.action_count))
    return gymnasium.wrappers.vector.TransformAction(made, lambda actions: numbers[actions], made.action_space)


def _rom(name: str) -> str:
    """`ALE/MsPacman-v5` is the game ms_pacman."""
    words = name.removeprefix("ALE/").partition("-")[0]
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in words).lstrip("_")

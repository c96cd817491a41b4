"""Tables for validation: the reference episodes played again, and what happens at the end of an episode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.datasets.environments.prepare import EPISODES
from components.datasets.environments.reader import Environment
from components.datasets.environments.rollouts import Episode, Policies, play
from components.datasets.environments.vector_reader import vector
from components.files import read_json

if TYPE_CHECKING:
    import pandas as pd

GAMES = 4
ENDS = 12
"""Games played side by side, and ends of episodes looked at, where resets are checked."""
MOST_STEPS = 4000


def tables(prepared: Path, policies: Policies, side_by_side: bool) -> dict[str, pd.DataFrame]:
    """`episodes`: a row per reference episode. `resets`: a row per end of an episode among games side by side.

    Faults are columns of 0 and 1. `changed`: the episode played now differs from the recorded one in an observation,
    a reward or its end; the same seed then no longer makes the same game.
    """
    import pandas as pd

    environment = Environment.read(prepared)
    recorded = [Episode.model_validate(episode) for episode in read_json(prepared / EPISODES)]
    episodes = pd.DataFrame([_row(environment, policies, episode) for episode in recorded])
    return {"episodes": episodes, **({"resets": pd.DataFrame(_resets(environment))} if side_by_side else {})}


def _row(environment: Environment, policies: Policies, episode: Episode) -> dict[str, Any]:
    first, last = environment.seeds[episode.split]
    again = play(environment, policies, episode.policy, episode.split, episode.seed - first)
    return {
        "id": f"{episode.policy}-{episode.seed}",
        "policy": episode.policy,
        "split": episode.split,
        "steps": episode.steps,
        "total": episode.total,
        "lowest": episode.lowest,
        "highest": episode.highest,
        "not_numbers": episode.not_numbers,
        "endless": int(not (episode.terminated or episode.truncated)),
        "foreign_seed": int(not first <= episode.seed <= last),
        "changed": int(again != episode),
    }


def _resets(environment: Environment) -> list[dict[str, Any]]:
    """The step of an episode's end returns its true last observation; the next one ignores its action, has reward 0
    and returns the first observation of the next episode (gymnasium's AutoresetMode.NEXT_STEP)."""
    games = vector(environment, GAMES)
    observations, _ = games.reset(seed=environment.seed("validation", 0))
    draw = np.random.RandomState(0)
    ended, lengths, rows = np.zeros(GAMES, bool), np.zeros(GAMES, int), list[dict[str, Any]]()
    for _ in range(MOST_STEPS):
        before = observations.copy()
        observations, rewards, terminated, truncated, _ = games.step(draw.randint(environment.action_count, size=GAMES))
        done = np.asarray(terminated) | np.asarray(truncated)
        rows += [
            {
                "id": f"game {game}, end {len(rows) + place}",
                "steps": int(lengths[game]),
                "reward_after": float(rewards[game]),
                "ended_again": int(done[game]),
                "not_reset": int(np.array_equal(before[game], observations[game])),
            }
            for place, game in enumerate(np.flatnonzero(ended))
        ]
        lengths = np.where(ended, 0, lengths + 1)
        ended = done
        if len(rows) >= ENDS:
            break
    games.close()
    return rows

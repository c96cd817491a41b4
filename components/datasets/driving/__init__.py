"""CarRacing: a car on a random track, seen from above (Klimov 2016; gymnasium's CarRacing-v3)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.datasets.driving.params import DrivingParams, Expert
from components.datasets.environments import EnvironmentDataset
from components.files import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

    from components.datasets.environments.rollouts import Policies

EXPERT = "expert.json"
"""The numbers of the expert that played, so that `validate` plays the same one again."""


class Driving(EnvironmentDataset):
    """A random policy and the privileged expert, the lab's teacher, play the reference episodes."""

    name = "driving"
    Params = DrivingParams
    side_by_side = False

    def prepare(self, raw: Path, out: Path, params: Any) -> dict[str, Any]:
        from components.datasets.environments.prepare import prepare

        write_json(out / EXPERT, {"hold": params.hold, "expert": params.expert.model_dump()})
        return prepare(self.name, out, params, self._players(params.expert, params.hold))

    def tables(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        from components.datasets.environments.tables import tables

        played = read_json(prepared / EXPERT)
        players = self._players(Expert.model_validate(played["expert"]), played["hold"])
        return tables(prepared, players, self.side_by_side)

    def _players(self, expert: Expert, hold: int) -> Policies:
        from components.datasets.driving.rollouts import ExpertPolicy

        return {**self.policies(), "expert": lambda game, _: ExpertPolicy(game, expert, hold)}


DATASET = Driving()

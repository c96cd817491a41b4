"""What datasets that are environments share: the folder of one, such as cartpole, adds its name and expectations.

Each environment is a dataset of its own, because a dataset has one version: another version of Pong then changes
nothing for a lab that learns from CartPole.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.datasets import Dataset
from components.datasets.environments.params import EnvironmentParams

if TYPE_CHECKING:
    import pandas as pd

    from components.datasets.environments.rollouts import Policies


class EnvironmentDataset(Dataset):
    """A game: the versions of its packages, its wrappers and its ranges of seeds are its data. It has no raw files."""

    Params: type[EnvironmentParams] = EnvironmentParams
    side_by_side = True
    """Whether `validate` also checks games that are played side by side; games with real numbers as actions are not."""

    def policies(self) -> Policies:
        """Who plays the reference episodes, by name."""
        from components.datasets.environments.rollouts import random_policy

        return {"random": random_policy}

    def prepare(self, raw: Path, out: Path, params: EnvironmentParams) -> dict[str, Any]:
        from components.datasets.environments.prepare import prepare

        return prepare(self.name, out, params, self.policies())

    def tables(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        from components.datasets.environments.tables import tables

        return tables(prepared, self.policies(), self.side_by_side)

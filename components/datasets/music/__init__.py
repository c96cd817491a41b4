"""Irish folk tunes in ABC notation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.datasets import Dataset
from components.datasets.music.params import MusicDatasetParams

if TYPE_CHECKING:
    import pandas as pd


class Music(Dataset):
    name = "music"
    Params = MusicDatasetParams

    def prepare(self, raw: Path, out: Path, params: MusicDatasetParams) -> dict[str, Any]:
        from components.datasets.music.prepare import prepare

        return prepare(raw, out, params)

    def tables(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        from components.datasets.music.tables import tables

        return tables(raw, prepared)


DATASET = Music()

"""Regression tables: eight UCI sets with published splits (profile course) or scikit-learn's diabetes (starter)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.config import DatasetParams
from components.datasets import Dataset

if TYPE_CHECKING:
    import pandas as pd


class UciDataset(Dataset):
    name = "uci"

    def prepare(self, raw: Path, out: Path, params: DatasetParams) -> dict[str, Any]:
        from components.datasets.uci.prepare import prepare

        return prepare(raw, out, params.limit)

    def tables(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        from components.datasets.uci.tables import tables

        return tables(raw, prepared)


DATASET = UciDataset()

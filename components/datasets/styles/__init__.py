"""Questions with plain answers (Dolly) and the same answers as Yoda and as a leprechaun would give them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.datasets import Dataset
from components.datasets.styles.params import StylesParams

if TYPE_CHECKING:
    import pandas as pd


class StylesDataset(Dataset):
    name = "styles"
    Params = StylesParams

    def prepare(self, raw: Path, out: Path, params: StylesParams) -> dict[str, Any]:
        from components.datasets.styles.prepare import prepare

        return prepare(raw, out, params)

    def tables(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        from components.datasets.styles.tables import tables

        return tables(raw, prepared)


DATASET = StylesDataset()

"""Faces with perceived attributes, and photographs without people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.datasets import Dataset
from components.datasets.faces.params import FacesParams

if TYPE_CHECKING:
    import pandas as pd


class Faces(Dataset):
    name = "faces"
    Params = FacesParams

    def prepare(self, raw: Path, out: Path, params: FacesParams) -> dict[str, Any]:
        from components.datasets.faces.prepare import prepare

        return prepare(raw, out, params)

    def tables(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        from components.datasets.faces.tables import tables

        return tables(raw, prepared)


DATASET = Faces()

"""Handwritten digits: MNIST, or the smaller set that scikit-learn carries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.config import DatasetParams
from components.datasets import Dataset

if TYPE_CHECKING:
    import pandas as pd


class Digits(Dataset):
    name = "digits"

    def prepare(self, raw: Path, out: Path, params: DatasetParams) -> dict[str, Any]:
        from components.datasets.digits.prepare import prepare

        return prepare(raw, out, params)

    def tables(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        from components.datasets.digits.tables import tables

        return tables(raw, prepared)


DATASET = Digits()

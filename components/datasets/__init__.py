"""The contract of a dataset: raw data made into checked splits, once for all labs that learn from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.config import DatasetParams
from components.discovery import nearest, packages

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).parent
DATASETS = tuple(name for name in packages(FOLDER) if (FOLDER / name / "expectations").is_dir())
"""Names of the datasets: a folder here with expectations is one. Others hold what datasets of one kind share."""


class Dataset(ABC):
    """What the steps `prepare` and `validate` may ask of a dataset. Slow imports stay inside the methods.

    `raw` is the dataset's own folder of raw files, data/<dataset> or data/starter/<dataset>.
    """

    name: str
    Params: type[DatasetParams] = DatasetParams

    @property
    def expectations(self) -> Path:
        """The folder of suites of Great Expectations, a file for each of `tables`."""
        return FOLDER / self.name / "expectations"

    @abstractmethod
    def prepare(self, raw: Path, out: Path, params: Any) -> dict[str, Any]:
        """Cleans and splits `raw` into `out`; returns the report: `splits`, and what was dropped, by which rule."""

    @abstractmethod
    def tables(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        """Tables of raw and prepared items, by the name of the suite that checks each."""


def find_dataset(name: str) -> Dataset:
    """The dataset of that name. Raises UserError that names the nearest one."""
    nearest("dataset", name, DATASETS)
    dataset: Dataset = import_module(f"components.datasets.{name}").DATASET
    return dataset

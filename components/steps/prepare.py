"""Cleans and splits a dataset's raw data."""

import logging
from pathlib import Path
from typing import Any

from components.config import DatasetParams
from components.datasets import Dataset
from components.files import output_folder

log = logging.getLogger(__name__)


def prepare(dataset: Dataset, params: DatasetParams, raw: Path, out: Path) -> dict[str, Any]:
    """Writes the prepared data into `out`, whole or not at all; returns the report on what was dropped."""
    with output_folder(out) as folder:
        report = dataset.prepare(raw, folder, params)
    log.info("prepared %s into %s: %s", dataset.name, out, report["splits"])
    return report

"""Checks a dataset's raw and prepared data against its expectations."""

import logging
import shutil
from pathlib import Path

from components.config import DatasetParams
from components.datasets import Dataset
from components.datasets.validation import validate_tables
from components.errors import UserError
from components.files import output_folder

log = logging.getLogger(__name__)


def validate(dataset: Dataset, params: DatasetParams, raw: Path, prepared: Path, out: Path) -> None:
    """Writes the report into `out` if every expectation is met.

    Otherwise the report goes beside it, into `<out>.failed`, and UserError names the first failed expectation, its
    column and the offending rows; an earlier report in `out` stays as it is.
    """
    failed = out.with_name(f"{out.name}.failed")
    tables = dataset.tables(raw, prepared)
    with output_folder(out) as folder:
        failures = validate_tables(dataset.expectations, tables, folder)
        if failures:
            with output_folder(failed) as report:
                shutil.copytree(folder, report, dirs_exist_ok=True)
            others = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            page = failed / f"{failures[0].table}.html"
            raise UserError(f"{dataset.name} {failures[0]}{others}; the report is {page}, of the {params.profile} data")
    shutil.rmtree(failed, ignore_errors=True)
    log.info("%s data meets its expectations; the report is %s", dataset.name, out)

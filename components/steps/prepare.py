"""Cleans and splits a lab's raw data."""

import logging
from pathlib import Path
from typing import Any

from components.config import LabParams
from components.files import output_folder
from components.labs import Lab

log = logging.getLogger(__name__)


def prepare(lab: Lab, params: LabParams, raw: Path, out: Path) -> dict[str, Any]:
    """Writes the prepared data into `out`, whole or not at all; returns the report on what was dropped."""
    with output_folder(out) as folder:
        report = lab.prepare(raw, folder, params.prepare)
    log.info("prepared %s into %s: %s", lab.name, out, report["splits"])
    return report

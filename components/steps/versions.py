"""Writes what each step of each dataset and lab stands on: the data's version, and a hash of the code that it runs.

DVC runs this before every other stage; they depend on the files that it writes, and on no list of source files.
"""

from __future__ import annotations

from pathlib import Path

from components.config import read
from components.datasets import DATASETS, find_dataset
from components.errors import UserError
from components.files import write_text
from components.labs import LABS, find
from components.params import checked_dataset
from components.provenance import PARTS, dataset_code, lab_code, weights_versions
from components.sources.pin import dataset_version


def write_versions(params_file: Path, out: Path, root: Path = Path()) -> None:
    """Writes out/<dataset or lab>/<step>, one line each; a file whose line is the same stays as it is.

    Raises UserError for wrong parameters of a dataset. A dataset that data.dvc has no entry for is `unknown`, so that
    its own stage says so when it runs.
    """
    raw = read(params_file)
    for name in DATASETS:
        dataset = find_dataset(name)
        profile = checked_dataset(dataset, raw, params_file).profile
        try:
            version = dataset_version(root, name, profile)
        except UserError:
            version = "unknown"
        for step in ("prepare", "validate"):
            _write(out / name / step, f"data {version} {profile} code {dataset_code(dataset, step)}\n")
    for name in LABS:
        lab = find(name)
        for step in PARTS:
            if step != "audit" or lab.audited:
                weights = weights_versions(lab, root) if step in ("train", "export") else []
                _write(out / name / step, " ".join(["code", lab_code(lab, step), *weights]) + "\n")


def _write(path: Path, line: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != line:
        write_text(path, line)

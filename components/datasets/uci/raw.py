"""Reads the raw tables: Gal's archive of UCI sets with their published splits, or scikit-learn's diabetes table."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.datasets.uci.columns import SETS
from components.errors import UserError
from components.sources.archive import read_gzip, read_tar

ARCHIVE = "uci_regression.tar"
STARTER = ("diabetes_data_raw.csv.gz", "diabetes_target.csv.gz")
SPLITS, TEST_SHARE = 20, 0.1
"""Splits of the starter's table, which is published without: as many, and as large, as most UCI sets have."""


class RawTable(NamedTuple):
    """features (N, d) and target (N,) float64 in the set's units; test (S, N) bool: test rows of each split."""

    features: np.ndarray
    target: np.ndarray
    test: np.ndarray


def read_raw(raw: Path) -> dict[str, RawTable]:
    """Every set in the folder, by name. Raises UserError naming the file, or the archive's member, that is wrong."""
    if (raw / ARCHIVE).exists():
        return _read_archive(raw / ARCHIVE)
    return {"diabetes": _read_diabetes(raw)}


def _read_archive(path: Path) -> dict[str, RawTable]:
    members: dict[str, dict[str, bytes]] = {}
    for name, content in read_tar(path):
        _, folder, file = name.split("/") if name.count("/") == 2 else ("", "", "")
        if folder not in SETS:
            raise UserError(f"{path}: {name} is of no set that is known ({', '.join(SETS)})")
        members.setdefault(folder, {})[file] = content
    return {name: _read_set(path, name, files) for name, files in sorted(members.items())}


def _read_set(path: Path, name: str, files: dict[str, bytes]) -> RawTable:
    """Columns as index_features.txt and index_target.txt say, splits from index_test_<k>.txt; the rest trains."""
    table = _numbers(path, f"{name}/data.txt", files)
    features = _indices(path, f"{name}/index_features.txt", files, table.shape[1])
    target = _indices(path, f"{name}/index_target.txt", files, table.shape[1])
    if len(features) != len(SETS[name].features) or len(target) != 1 or target[0] in features:
        raise UserError(
            f"{path}: {name} has {len(features)} features and {len(target)} targets; {len(SETS[name].features)} and 1 "
            "that is no feature are expected"
        )
    tests = sorted(
        (file for file in files if file.startswith("index_test_")), key=lambda file: int(file[11:].removesuffix(".txt"))
    )
    if not tests:
        raise UserError(f"{path}: {name} has no index_test_<split>.txt")
    test = np.zeros((len(tests), len(table)), bool)
    for split, file in enumerate(tests):
        test[split, _indices(path, f"{name}/{file}", files, len(table))] = True
    return RawTable(table[:, features], table[:, target[0]], test)


def _numbers(path: Path, member: str, files: dict[str, bytes]) -> np.ndarray:
    try:
        table: np.ndarray = np.loadtxt(files[member.split("/")[1]].decode().splitlines(), ndmin=2)
    except KeyError:
        raise UserError(f"{path} lacks {member}") from None
    except ValueError as error:
        raise UserError(f"{path}: {member} is not a table of numbers: {error}") from None
    return table


def _indices(path: Path, member: str, files: dict[str, bytes], size: int) -> np.ndarray:
    """Whole numbers below `size`, none twice."""
    values = _numbers(path, member, files).ravel()
    indices: np.ndarray = values.astype(int)
    if (indices != values).any() or (indices < 0).any() or (indices >= size).any():
        raise UserError(f"{path}: {member} holds a number that is no index below {size}")
    if len(set(indices)) != len(indices):
        raise UserError(f"{path}: {member} names an index twice")
    return indices


def _read_diabetes(raw: Path) -> RawTable:
    parts = []
    for name in STARTER:
        try:
            parts.append(np.loadtxt(read_gzip(raw / name).decode().splitlines(), ndmin=2))
        except ValueError as error:
            raise UserError(f"{raw / name} is not a table of numbers: {error}") from None
    features, target = parts[0], parts[1].ravel()
    if features.shape != (len(target), len(SETS["diabetes"].features)):
        raise UserError(f"{raw}: {STARTER[0]} is {features.shape} and {STARTER[1]} has {len(target)} rows")
    order = np.stack([np.random.default_rng(split).permutation(len(target)) for split in range(SPLITS)])
    return RawTable(features, target, order < round(TEST_SHARE * len(target)))

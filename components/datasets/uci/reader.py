"""The prepared sets as arrays: what training, export and evaluation read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.errors import UserError
from components.files import read_json

FILES = ("features", "target", "test", "copies")


class Table(NamedTuple):
    """One set. N rows, d features, S splits.

    names (d,): of the features.  features (N, d), target (N,): float64, in the set's own units.
    test (S, N) bool: the test rows of each split; all others train.
    copies (S, N) bool: test rows whose features and target equal those of a training row of the split.
    """

    names: tuple[str, ...]
    features: np.ndarray
    target: np.ndarray
    test: np.ndarray
    copies: np.ndarray


def read_tables(prepared: Path) -> dict[str, Table]:
    """Every prepared set by name. Raises UserError where the step prepare has not run or its output is damaged."""
    report = read_json(prepared / "report.json")
    return {
        name: Table(tuple(entry["features"]), *(_load(prepared / f"{name}_{file}.npy") for file in FILES))
        for name, entry in report["sets"].items()
    }


def groups(features: np.ndarray) -> np.ndarray:
    """(N,) int64: rows with equal features have equal numbers, from 0 in no order that means anything."""
    _, inverse = np.unique(features, axis=0, return_inverse=True)
    return inverse.ravel()


def _load(path: Path) -> np.ndarray:
    try:
        content: np.ndarray = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the step prepare first") from None
    except (ValueError, EOFError) as error:
        raise UserError(f"{path} is not an array of the step prepare ({error}): run it again") from None
    return content

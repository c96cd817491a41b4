"""From the raw tables to prepared sets. Values keep their units: what is standardised is, in each split, by its
training rows alone, so that belongs to the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from components.datasets.uci.columns import SETS
from components.datasets.uci.raw import RawTable, read_raw
from components.datasets.uci.reader import Table, groups
from components.errors import UserError
from components.files import write_json

MIN_ROWS = 10
"""Training rows, and at least one test row, that a split must keep: `limit` may be set too low."""


def prepare(raw: Path, out: Path, limit: int) -> dict[str, Any]:
    """Writes <set>_{features,target,test,copies}.npy of each set, and report.json.

    limit: rows of each set that are taken, evenly through the file; 0 takes all. Columns that hold one value only
    are dropped; rows that are there twice are kept, as in the published figures, and marked. Raises UserError.
    """
    tables = {name: prepared_table(name, table, limit) for name, table in read_raw(raw).items()}
    for name, table in tables.items():
        for split, test in enumerate(table.test):
            if not test.any() or (~test).sum() < MIN_ROWS:
                raise UserError(f"{raw}: split {split} of {name} keeps {(~test).sum()} training rows: raise the limit")
        for file in ("features", "target", "test", "copies"):
            np.save(out / f"{name}_{file}.npy", getattr(table, file))
    report = {
        "sets": {name: _described(name, table) for name, table in tables.items()},
        "splits": {
            "train": sum(int((~table.test).sum()) for table in tables.values()),
            "test": sum(int(table.test.sum()) for table in tables.values()),
        },
        "dropped": {
            "constant": {
                "why": "columns that hold one value in every row",
                "count": sum(len(SETS[name].features) - len(table.names) for name, table in tables.items()),
            }
        },
    }
    write_json(out / "report.json", report)
    return report


def prepared_table(name: str, raw: RawTable, limit: int) -> Table:
    """One set without constant columns, its copies between training and test rows marked."""
    rows = np.arange(len(raw.target))
    if 0 < limit < len(rows):
        rows = np.linspace(0, len(rows) - 1, limit).astype(int)
    features, target, test = raw.features[rows], raw.target[rows], raw.test[:, rows]
    varies = np.ptp(raw.features, axis=0) > 0
    names = tuple(column.name for column, kept in zip(SETS[name].features, varies, strict=True) if kept)
    same = groups(np.column_stack([features, target]))
    copies = np.stack([split & np.isin(same, same[~split]) for split in test])
    return Table(names, features[:, varies], target, test, copies)


def _described(name: str, table: Table) -> dict[str, Any]:
    return {
        "title": SETS[name].title,
        "features": list(table.names),
        "dropped_features": [column.name for column in SETS[name].features if column.name not in table.names],
        "target": SETS[name].target.name,
        "rows": len(table.target),
        "splits": len(table.test),
        "copies": float(table.copies.sum() / table.test.sum()),
    }

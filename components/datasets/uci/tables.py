"""Tables that the step validate checks: a row per data row, per column and per split of each set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.datasets.uci.columns import SETS
from components.datasets.uci.raw import RawTable, read_raw
from components.datasets.uci.reader import Table, groups, read_tables

if TYPE_CHECKING:
    import pandas as pd


def tables(raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
    """`rows`, `columns` and `splits`, by the names of their suites; faults are columns of 0 and 1.

    rows: one per raw row. `copy_of`: the line of the first equal row, its own where there is no earlier one.
    columns: one per raw column, the target too. `target_correlation`: with the target, without its sign.
    splits: one per split. `copies`: share of test rows that are exact copies of training rows. `same_features`: share
    whose features a training row has, whatever its target. `changed`: 1 where a prepared row is not the raw one.
    """
    import pandas as pd

    sources, kept = read_raw(raw), read_tables(prepared)
    return {
        "rows": pd.DataFrame([row for name, table in sources.items() for row in _rows(name, table)]),
        "columns": pd.DataFrame([row for name, table in sources.items() for row in _columns(name, table, kept[name])]),
        "splits": pd.DataFrame([row for name, table in kept.items() for row in _splits(name, table, sources[name])]),
    }


def _rows(name: str, table: RawTable) -> list[dict[str, Any]]:
    same = groups(np.column_stack([table.features, table.target]))
    first = np.full(same.max() + 1, len(same))
    np.minimum.at(first, same, np.arange(len(same)))
    finite = np.isfinite(table.features).all(axis=1)
    tested = np.logical_or.reduce(table.test)
    return [
        {
            "id": f"{name}:{line}",
            "line": line,
            "set": name,
            "target": float(target),
            "not_a_number": int(not whole),
            "copy_of": int(origin) + 1,
            "is_copy": int(origin + 1 < line),
            "never_tested": int(not tested_once),
        }
        for line, (target, whole, origin, tested_once) in enumerate(
            zip(table.target, finite, first[same], tested, strict=True), start=1
        )
    ]


def _columns(name: str, table: RawTable, kept: Table) -> list[dict[str, Any]]:
    columns = [*SETS[name].features, SETS[name].target]
    values = np.column_stack([table.features, table.target])
    found = []
    for index, column in enumerate(columns):
        constant = bool(np.ptp(values[:, index]) == 0)
        twins = [columns[other].name for other in range(index) if np.array_equal(values[:, other], values[:, index])]
        target = index == len(columns) - 1
        correlation = 0.0 if constant or target else abs(np.corrcoef(values[:, index], table.target)[0, 1])
        found.append(
            {
                "id": f"{name}:{column.name}",
                "set": name,
                "column": column.name,
                "role": "target" if target else "feature",
                "distinct": len(np.unique(values[:, index])),
                "lowest": float(values[:, index].min()),
                "highest": float(values[:, index].max()),
                "constant": int(constant),
                "constant_kept": int(constant and column.name in kept.names),
                "copy_of": twins[0] if twins else "",
                "copies_another": int(bool(twins)),
                "target_correlation": float(correlation),
            }
        )
    return found


def _splits(name: str, table: Table, raw: RawTable) -> list[dict[str, Any]]:
    same = groups(table.features)
    lost = set(map(tuple, np.column_stack([table.features, table.target]))) - set(
        map(tuple, np.column_stack([raw.features[:, _places(name, table)], raw.target]))
    )
    return [
        {
            "id": f"{name}:{split}",
            "set": name,
            "split": split,
            "train_rows": int((~test).sum()),
            "test_rows": int(test.sum()),
            "test_share": float(test.mean()),
            "copies": float(copies.sum() / test.sum()),
            "same_features": float(np.isin(same[test], same[~test]).mean()),
            "changed": int(bool(lost)),
            "mean_shift": float(
                abs(table.target[test].mean() - table.target[~test].mean()) / table.target[~test].std()
            ),
        }
        for split, (test, copies) in enumerate(zip(table.test, table.copies, strict=True))
    ]


def _places(name: str, table: Table) -> list[int]:
    names = [column.name for column in SETS[name].features]
    return [names.index(each) for each in table.names]

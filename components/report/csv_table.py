"""The numbers of plots and reports as CSV, for `dvc plots` and for checks."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path

from components.files import write_text

Column = Sequence[str | int | float]
Table = Mapping[str, Column]


def write_csv(path: Path, columns: Mapping[str, Iterable[object]]) -> None:
    """Columns of equal length under their names."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_text(path, text.getvalue())

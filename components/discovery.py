"""Names that folders give: a folder below components/labs is a lab, one below components/datasets a dataset."""

from __future__ import annotations

import difflib
from pathlib import Path

from components.errors import UserError


def packages(folder: Path) -> tuple[str, ...]:
    """Names of the packages in a folder, sorted."""
    return tuple(sorted(path.parent.name for path in folder.glob("*/__init__.py")))


def nearest(kind: str, name: str, names: tuple[str, ...]) -> None:
    """Raises UserError where `name` is none of `names`: it says which one is nearest."""
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
        raise UserError(f"there is no {kind} '{name}'; did you mean '{near[0]}'? there are: {', '.join(names)}")

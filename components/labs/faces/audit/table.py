"""A prepared split as the audit reads it: the labels of each picture, and the detector's logits."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.errors import UserError
from components.labs.faces.audit.measures import Flags
from components.stats import Floats

Texts = NDArray[np.str_]

COLUMNS = ("id", "file", "photo", "face", "hard", "race", "gender", "age")

AGE_ORDER = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
"""FairFace's age bands, youngest first."""


@dataclass(frozen=True)
class Table:
    """Columns of equal length, row i of image i. Labels are empty for negatives and where they are unknown."""

    id: Texts
    file: Texts
    """The picture's name in its archive; a negative's folder is what it shows."""
    photo: Texts
    """The photograph; a photograph's crops share it."""
    face: Flags
    hard: Flags
    """Negatives in which a detector once saw a face."""
    race: Texts
    gender: Texts
    age: Texts

    def __len__(self) -> int:
        return len(self.id)

    def labels(self, attribute: str) -> Texts:
        """The perceived groups of an attribute, or of an intersection ("race x gender": "Black, Female")."""
        parts = [getattr(self, part) for part in attribute.split(" x ")]
        labels = parts[0]
        for part in parts[1:]:
            known = (labels != "") & (part != "")
            labels = np.where(known, np.char.add(np.char.add(labels, ", "), part), "")
        return np.asarray(labels, str)

    def context(self) -> Texts:
        """What a negative shows: its folder in the archive, which for Caltech-101 is the category."""
        return np.array([Path(name).parent.name for name in self.file], str)


def read_table(prepared: Path, split: str) -> Table:
    """Reads <split>.csv. Raises UserError naming the file and what is wrong with it."""
    path = prepared / f"{split}.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = set(COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise UserError(f"{path} has no column {', '.join(sorted(missing))}: run the step prepare again")
            rows = list(reader)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the step prepare first") from None
    columns = {name: np.array([row[name] for row in rows], str) for name in COLUMNS}
    for name in ("face", "hard"):
        wrong = set(columns[name].tolist()) - {"0", "1"}
        if wrong:
            raise UserError(f"{path}: {name} is {sorted(wrong)[0]!r}, not 0 or 1: run the step prepare again")
    flags = {name: columns.pop(name) == "1" for name in ("face", "hard")}
    return Table(**columns, **flags)


def read_images(prepared: Path, split: str, size: int, table: Table) -> NDArray[np.uint8]:
    """The middle `size` x `size` pixels of every image, a view of the file: (images, size, size, 3) RGB.

    Raises UserError where images and table do not belong together.
    """
    path = prepared / f"{split}_images.npy"
    try:
        images: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"{path} can't be read ({error}): run the step prepare first") from None
    if images.ndim != 4 or images.shape[0] != len(table) or min(images.shape[1:3]) < size:
        raise UserError(
            f"{path} has shape {images.shape}, the table beside it {len(table)} rows: run the step prepare again"
        )
    top, left = ((side - size) // 2 for side in images.shape[1:3])
    return images[:, top : top + size, left : left + size]


@dataclass(frozen=True)
class Scored:
    """A split with the detector's logits, (images,), higher where it sees a face."""

    table: Table
    logits: Floats

    def without(self, categories: Collection[str]) -> Scored:
        """The split less the photographs of these categories."""
        kept = self.table.face | ~np.isin(self.table.context(), sorted(categories))
        columns = {field.name: getattr(self.table, field.name)[kept] for field in fields(self.table)}
        return Scored(Table(**columns), self.logits[kept])

    def negatives(self) -> Floats:
        return self.logits[~self.table.face]

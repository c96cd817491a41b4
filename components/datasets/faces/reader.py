"""The prepared images of a split and what is known of each. No torch."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from components.errors import UserError

SIZE = 64
"""Side of what the networks see, in pixels; prepared images have a margin around it."""

PHOTOGRAPHS = "photographs.tar"
"""In the prepared folder, the photographs of all splits as their source has them; none in the starter data."""

COURSE_FACES = "course_faces.npy"
"""In the prepared folder, the faces that the course tests with, (20, SIZE, SIZE, 3)."""

SplitName = Literal["train", "validation", "audit"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "audit")


@dataclass(frozen=True)
class Split:
    """images: (N, S, S, 3) uint8 RGB.  is_face, is_hard: (N,) bool.  race, gender, age: (N,) perceived, '' unknown.

    file: (N,) the raw picture's name; photo: (N,) that of the photograph it stands for, which near-duplicates share.

    crop: (N,) int, which square of its photograph an image is: 0 is the largest, and every face's.
    """

    images: np.ndarray
    file: np.ndarray
    photo: np.ndarray
    crop: np.ndarray
    is_face: np.ndarray
    is_hard: np.ndarray
    race: np.ndarray
    gender: np.ndarray
    age: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def shows(self, categories: Collection[str]) -> np.ndarray:
        """(N,) bool: whether an image is of a photograph of these categories, which folders of its archive are."""
        shown = np.isin([category_of(name) for name in self.file.tolist()], sorted(categories))
        return np.asarray(shown & ~self.is_face, dtype=bool)

    def without(self, categories: Collection[str]) -> Split:
        """The split less the photographs of these categories."""
        kept = ~self.shows(categories)
        return Split(**{field.name: getattr(self, field.name)[kept] for field in fields(self)}) if categories else self


def category_of(file: str) -> str:
    """What a photograph shows, for Caltech 101: the folder that it lies in."""
    return Path(file).parent.name


def read_split(prepared: Path, split: SplitName, in_memory: bool = False) -> Split:
    """A split of the prepared folder; its images are read when they are looked at, or at once if `in_memory`.

    Raises UserError when a file is missing, the table and the images don't belong together, or there are no faces
    or nothing else.
    """
    table, file = prepared / f"{split}.csv", prepared / f"{split}_images.npy"
    try:
        with table.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        images = np.load(file, mmap_mode=None if in_memory else "r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing: run the step prepare first") from None
    except ValueError as error:
        raise UserError(f"{file} is not an array: {error}; run the step prepare again") from None
    if len(rows) != len(images):
        raise UserError(f"{table} has {len(rows)} rows for {len(images)} images: run the step prepare again")
    columns = {name: np.array([row[name] for row in rows]) for name in ("file", "photo", "race", "gender", "age")}
    crop = np.array([int(row["id"].rpartition("#")[2]) if "#" in row["id"] else 0 for row in rows])
    is_face, is_hard = (np.array([row[name] == "1" for row in rows], dtype=bool) for name in ("face", "hard"))
    if is_face.all() or not is_face.any():
        raise UserError(f"{prepared} has no {split} {'negatives' if is_face.any() else 'faces'}: take more in prepare")
    return Split(images, crop=crop, is_face=is_face, is_hard=is_hard, **columns)


def centre(images: np.ndarray) -> np.ndarray:
    """The middle (N, SIZE, SIZE, 3) of images (N, S, S, 3): what is measured, without jitter."""
    margin = (images.shape[1] - SIZE) // 2
    return images[:, margin : margin + SIZE, margin : margin + SIZE]


def face_pictures(prepared: Path, split: SplitName) -> np.ndarray:
    """(N, SIZE, SIZE, 3) uint8: the middle of each face of a split. Raises UserError as `read_split` does."""
    found = read_split(prepared, split)
    return centre(found.images[found.is_face.nonzero()[0]])

"""Heads of animals in Caltech's photographs, which a face detector is most easily wrong about. No torch.

`animal_heads.csv` has a row for each square: file (the photograph's name in its archive), left, top, side (pixels of
the photograph) and found_by. `hand`: somebody drew the square around the head, one for each of 109 photographs of five
categories. `detector`: the three most face-like places of each photograph of 22 other categories of animals, as this
lab's detector of November 2026 ranked them, with the margin that a prepared face has. Some are heads, the others what
that detector was most easily wrong about.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from components.datasets.faces.reader import PHOTOGRAPHS, category_of
from components.errors import UserError
from components.sources.archive import read_tar

TABLE = Path(__file__).with_name("animal_heads.csv")

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the photograph."""


@dataclass(frozen=True)
class Heads:
    """images: (N, S, S, 3) uint8 RGB, a head and nothing else each.  file: (N,) the photographs' names."""

    images: np.ndarray
    file: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    @property
    def category(self) -> np.ndarray:
        """(N,) the animal."""
        return np.array([category_of(name) for name in self.file.tolist()], dtype=str)


def boxes(found_by: str) -> dict[str, list[Box]]:
    """The boxes that were found so, by photograph."""
    found: dict[str, list[Box]] = defaultdict(list)
    with TABLE.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["found_by"] == found_by:
                left, top, side = (float(row[name]) for name in ("left", "top", "side"))
                found[row["file"]].append((left, top, left + side, top + side))
    return dict(found)


def read_heads(prepared: Path, wanted: Mapping[str, Collection[Box]], size: int) -> Heads:
    """The boxes of the prepared folder's photographs, each resized to `size` x `size`, in the order of its archive.

    Empty where the folder has no photographs, as with the starter data. Raises UserError where one is damaged.
    """
    images, files = [np.zeros((0, size, size, 3), np.uint8)], []
    archive = prepared / PHOTOGRAPHS
    for name, content in read_tar(archive) if archive.exists() else ():
        if name not in wanted:
            continue
        try:
            picture = Image.open(io.BytesIO(content), formats=["JPEG"]).convert("RGB")
        except OSError:
            raise UserError(f"{archive}: {name} is damaged: run the step prepare again") from None
        # The filter that `prepare` uses.
        cut = [np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box=box)) for box in wanted[name]]
        images.append(np.stack(cut))
        files += [name] * len(wanted[name])
    return Heads(np.concatenate(images), np.array(files, dtype=str))


def held_out_heads(prepared: Path, categories: Collection[str], size: int) -> Heads:
    """Heads that somebody drew a square around, of animals that a detector has not learned from."""
    wanted = {file: found for file, found in boxes("hand").items() if category_of(file) in categories}
    return read_heads(prepared, wanted, size)

"""Photographs by category: what the lab transfer learns from. No torch."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from components.datasets.faces.reader import PHOTOGRAPHS, Split, SplitName, read_split
from components.errors import UserError
from components.sources.archive import read_tar

CALTECH = "101_ObjectCategories"
FACE, OTHER = "face", "other"
"""The categories where there are no photographs by category: in the starter data."""


class Labelled(NamedTuple):
    """images (N, S, S, 3) uint8 RGB, labels (N,) int64: places in the sorted names of what they may be."""

    images: np.ndarray
    labels: np.ndarray


def categories(prepared: Path) -> tuple[str, ...]:
    """Names, sorted, of the categories in the training split: those of Caltech's photographs, else face and other."""
    return tuple(sorted(set(_categories(read_split(prepared, "train")).tolist()) - {""}))


def photographs(prepared: Path, split: SplitName, size: int, each: int = 0, seed: int = 0) -> Labelled:
    """A split's photographs, each resized to `size` x `size`, with their categories.

    each: so many of every category, chosen by `seed`; 0 takes all.
    Raises UserError when a category of the training split is missing or has fewer, or a photograph is.
    """
    found = read_split(prepared, split)
    names = categories(prepared)
    labels = np.searchsorted(names, of := _categories(found))
    rows = np.flatnonzero(np.isin(of, names) & (found.crop == 0))
    if each:
        draw = np.random.default_rng(seed)
        chosen = [draw.permutation(rows[labels[rows] == label])[:each] for label in range(len(names))]
        for name, some in zip(names, chosen, strict=True):
            if len(some) < each:
                raise UserError(
                    f"{prepared} has {len(some)} training pictures of '{name}'; transfer.train.labelled asks for {each}"
                )
        rows = np.sort(np.concatenate(chosen))
    return Labelled(_pixels(prepared, found, rows, size), labels[rows].astype(np.int64))


def square(image: Image.Image, size: int) -> np.ndarray:
    """(size, size, 3) uint8 RGB of a whole picture: its sides are brought to one length, so that nothing is cut off."""
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


def _pixels(prepared: Path, split: Split, rows: np.ndarray, size: int) -> np.ndarray:
    archive = prepared / PHOTOGRAPHS
    if not archive.exists():
        return np.stack([square(Image.fromarray(split.images[row]), size) for row in rows])
    places = {str(split.file[row]): place for place, row in enumerate(rows)}
    images = np.empty((len(rows), size, size, 3), np.uint8)
    for name, content in read_tar(archive):
        if name in places:
            try:
                images[places.pop(name)] = square(Image.open(io.BytesIO(content), formats=["JPEG"]), size)
            except OSError:
                raise UserError(f"{archive}: {name} is damaged: run the step prepare again") from None
    if places:
        raise UserError(f"{archive} has no {min(places)}: run the step prepare again")
    return images


def _categories(split: Split) -> np.ndarray:
    """(N,) names, "" for what is in none."""
    parts = [str(photo).split("/") for photo in split.photo]
    if any(each[0] == CALTECH for each in parts):
        return np.array([each[1] if each[0] == CALTECH else "" for each in parts])
    return np.where(split.is_face, FACE, OTHER)

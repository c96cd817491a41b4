"""Photographs by category, and faces by what annotators perceived: what the lab transfer learns from. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.datasets.faces.reader import Split, SplitName, read_split
from components.errors import UserError

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


def photographs(prepared: Path, split: SplitName, each: int = 0, seed: int = 0) -> Labelled:
    """A split's photographs, each as its largest square, with their categories.

    each: so many of every category, chosen by `seed`; 0 takes all.
    Raises UserError when a category of the training split is missing or has fewer.
    """
    found = read_split(prepared, split, in_memory=True)
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
    return Labelled(found.images[rows], labels[rows].astype(np.int64))


def faces(prepared: Path) -> Labelled:
    """What is pretrained on: training faces by perceived gender, age and race; all pictures by category where no
    gender is known.

    The labels only give the filters something to tell apart; whoever fine-tunes throws away what answers them.
    """
    found = read_split(prepared, "train", in_memory=True)
    known = zip(found.gender, found.age, found.race, strict=True)
    groups = np.array([" ".join(each) if each[0] else "" for each in known])
    if not groups.astype(bool).any():
        groups = _categories(found)
    rows = np.flatnonzero(groups != "")
    _, labels = np.unique(groups[rows], return_inverse=True)
    return Labelled(found.images[rows], labels.astype(np.int64))


def middle(images: np.ndarray, size: int) -> np.ndarray:
    """The middle (N, size, size, 3) of images (N, S, S, 3): what is measured, without jitter."""
    margin = (images.shape[1] - size) // 2
    return images[:, margin : margin + size, margin : margin + size]


def _categories(split: Split) -> np.ndarray:
    """(N,) names, "" for what is in none."""
    parts = [str(photo).split("/") for photo in split.photo]
    if any(each[0] == CALTECH for each in parts):
        return np.array([each[1] if each[0] == CALTECH else "" for each in parts])
    return np.where(split.is_face, FACE, OTHER)

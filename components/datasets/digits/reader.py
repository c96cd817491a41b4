"""The prepared digits of a split. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from components.errors import UserError

if TYPE_CHECKING:
    pass


SIZE = 28
"""Pixels along a side, MNIST's."""

DIGITS = 10

SPLITS = ("train", "validation", "test")


class Split(NamedTuple):
    """Prepared pictures: images (N, 28, 28) uint8, labels (N,) uint8."""

    images: np.ndarray
    labels: np.ndarray


def read_split(prepared: Path, split: str) -> Split:
    """Pictures and labels of a split. Raises UserError when prepare has not run."""
    return Split(load_array(prepared / f"{split}_images.npy"), load_array(prepared / f"{split}_labels.npy"))


def load_array(path: Path) -> np.ndarray:
    """An array that the step prepare wrote. Raises UserError for a missing or damaged file."""
    try:
        content: np.ndarray = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the step prepare first") from None
    except (ValueError, EOFError) as error:
        raise UserError(f"{path} is not an array of the step prepare ({error}): run it again") from None
    return content

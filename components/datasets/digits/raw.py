"""The raw files of digits: MNIST, or scikit-learn's smaller set, all as pictures of 28 x 28."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from components.datasets.digits.reader import SIZE
from components.errors import UserError
from components.sources.archive import read_gzip

if TYPE_CHECKING:
    pass


MNIST_FILES = {"train": "train", "test": "t10k"}

UCI_SIZE, UCI_INK = 8, 16
"""scikit-learn's pictures (a part of Alpaydin and Kaynak's, UCI): pixels along a side, and the value of full ink."""

UCI_BOX = 20
"""MNIST's digits were drawn into a box of so many pixels inside the picture (LeCun et al. 1998); UCI's follow."""


class Raw(NamedTuple):
    """Every picture of the raw files; N of them."""

    dataset: str
    """mnist or uci."""
    images: np.ndarray
    """(N, 28, 28) uint8."""
    labels: np.ndarray
    """(N,) uint8, 0 to 9."""
    published: np.ndarray
    """(N,) str: the part that the source puts a picture into, train or test; "" where it has no parts."""
    lines: np.ndarray
    """(N,) int64: place in its file, from 1."""


def read_raw(raw: Path) -> Raw:
    """MNIST where the folder has it, else scikit-learn's digits. Raises UserError naming the damaged file."""
    if (raw / "mnist").is_dir():
        parts = {part: _read_mnist(raw / "mnist", name) for part, name in MNIST_FILES.items()}
        images, labels = (np.concatenate([part[index] for part in parts.values()]) for index in (0, 1))
        sizes = [len(part[1]) for part in parts.values()]
        published = np.repeat(list(parts), sizes).astype(object)
        return Raw("mnist", images, labels, published, np.concatenate([np.arange(1, size + 1) for size in sizes]))
    images, labels = _read_uci(raw / "uci" / "digits.csv.gz")
    published = np.full(len(labels), "", dtype=object)
    return Raw("uci", images, labels, published, np.arange(1, len(labels) + 1))


def _read_mnist(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    images = _read_idx(folder / f"{name}-images-idx3-ubyte.gz", dimensions=3)
    labels = _read_idx(folder / f"{name}-labels-idx1-ubyte.gz", dimensions=1)
    if images.shape[1:] != (SIZE, SIZE) or len(images) != len(labels):
        raise UserError(
            f"{folder}: {name} has images of shape {images.shape} and {len(labels)} labels; "
            f"{SIZE} x {SIZE} pixels and a label each are expected"
        )
    return images, labels


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """A gzipped IDX file of unsigned bytes: 0, 0, 8, dimensions; their sizes as big-endian 32-bit; the bytes."""
    content = read_gzip(path)
    start = 4 + 4 * dimensions
    shape = tuple(np.frombuffer(content[4:start], ">u4").astype(int)) if len(content) >= start else ()
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) - start != np.prod(shape, dtype=int):
        raise UserError(f"{path} is not an IDX file of {dimensions} dimensions of bytes: fetch it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _read_uci(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """64 pixels of 0 to 16 and the digit a line, enlarged by linear interpolation into MNIST's box."""
    try:
        table = np.loadtxt(read_gzip(path).decode().splitlines(), delimiter=",", ndmin=2)
    except ValueError as error:
        raise UserError(f"{path} is not a table of numbers: {error}") from None
    if table.shape[1] != UCI_SIZE**2 + 1 or table.min() < 0 or table[:, :-1].max() > UCI_INK:
        raise UserError(f"{path}: 64 pixels of 0 to {UCI_INK} and a digit a line are expected")
    places = np.clip((np.arange(UCI_BOX) + 0.5) * UCI_SIZE / UCI_BOX - 0.5, 0, UCI_SIZE - 1)
    stretch = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(UCI_SIZE)))
    boxes = stretch @ table[:, :-1].reshape(-1, UCI_SIZE, UCI_SIZE) @ stretch.T
    images = np.zeros((len(table), SIZE, SIZE), np.uint8)
    edge = (SIZE - UCI_BOX) // 2
    images[:, edge:-edge, edge:-edge] = np.rint(boxes * (255 / UCI_INK))
    return images, table[:, -1].astype(np.uint8)


def content_hashes(images: np.ndarray) -> list[str]:
    """sha256 of each picture's pixels: equal pictures are one picture."""
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images]

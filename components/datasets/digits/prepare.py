"""From raw files to prepared digits: every picture 28 x 28, 0 paper to 255 ink, split without leaks."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from components.errors import UserError
from components.families.classification.params import Prepare
from components.files import write_json
from components.sources.archive import read_gzip

if TYPE_CHECKING:
    import pandas as pd

SIZE = 28
"""Pixels along a side, MNIST's."""
DIGITS = 10
SPLITS = ("train", "validation", "test")
RULES = {
    "duplicate": "the same pixels as an earlier picture; the published test set comes first, so it loses none",
    "limit": "beyond the parameter prepare.<lab>.limit",
}
"""Why a picture may be dropped."""

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


class Split(NamedTuple):
    """Prepared pictures: images (N, 28, 28) uint8, labels (N,) uint8."""

    images: np.ndarray
    labels: np.ndarray


def prepare(raw: Path, out: Path, params: Prepare) -> dict[str, Any]:
    """Writes <split>_images.npy, <split>_labels.npy, <split>_rows.npy (rows of `read_raw`) and report.json.

    Raises UserError naming the file that is missing or is not what it should be.
    """
    pictures = read_raw(raw)
    fates = _fates(pictures, params.limit)
    for split in SPLITS:
        rows = np.flatnonzero(fates == split)
        if len(rows) == 0:
            raise UserError(f"{raw}: none of its {len(fates)} digits falls in the split '{split}'; take more digits")
        np.save(out / f"{split}_images.npy", pictures.images[rows])
        np.save(out / f"{split}_labels.npy", pictures.labels[rows])
        np.save(out / f"{split}_rows.npy", rows)
    report = {
        "dataset": pictures.dataset,
        "pictures": len(fates),
        "splits": {split: int((fates == split).sum()) for split in SPLITS},
        "digits": {str(digit): int((pictures.labels == digit).sum()) for digit in range(DIGITS)},
        "dropped": {rule: {"why": why, "count": int((fates == rule).sum())} for rule, why in RULES.items()},
    }
    write_json(out / "report.json", report)
    return report


def facts(raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
    """A row per raw picture (the table is named after the dataset) and a row per prepared one, for validation.

    `fate` is where a raw picture went: its split, or "dropped". `ink`: share of pixels at least half black.
    `off_centre`: pixels between the ink's centre of mass and the middle. Faults are columns of 0 and 1.
    """
    import pandas as pd

    pictures = read_raw(raw)
    kept = {split: (read_split(prepared, split), _load(prepared / f"{split}_rows.npy")) for split in SPLITS}
    fates = np.full(len(pictures.labels), "dropped", dtype=object)
    for split, (_, rows) in kept.items():
        fates[rows] = split
    raw_table = {
        "line": pictures.lines,
        "published": pictures.published,
        "fate": fates,
        **_describe(pictures.images, pictures.labels),
    }
    images = np.concatenate([split.images for split, _ in kept.values()])
    labels = np.concatenate([split.labels for split, _ in kept.values()])
    rows = np.concatenate([rows for _, rows in kept.values()])
    table = {
        "line": pictures.lines[rows],
        "split": np.repeat(list(kept), [len(rows) for _, rows in kept.values()]).astype(object),
        "published": pictures.published[rows],
        "changed": (labels != pictures.labels[rows]) | (images != pictures.images[rows]).any(axis=(1, 2)),
        **_describe(images, labels),
    }
    frames = {pictures.dataset: pd.DataFrame(raw_table), "prepared": pd.DataFrame(table)}
    for frame in frames.values():
        for name in ("published", "fate", "split"):
            if name in frame:
                frame[name] = frame[name].astype(str)
    frames["prepared"]["changed"] = frames["prepared"]["changed"].astype(int)
    return frames


def read_split(prepared: Path, split: str) -> Split:
    """Pictures and labels of a split. Raises UserError when prepare has not run."""
    return Split(_load(prepared / f"{split}_images.npy"), _load(prepared / f"{split}_labels.npy"))


def read_raw(raw: Path) -> Raw:
    """MNIST where the data folder has it, else scikit-learn's digits. Raises UserError naming the damaged file."""
    if (raw / "mnist").is_dir():
        parts = {part: _read_mnist(raw / "mnist", name) for part, name in MNIST_FILES.items()}
        images, labels = (np.concatenate([part[index] for part in parts.values()]) for index in (0, 1))
        sizes = [len(part[1]) for part in parts.values()]
        published = np.repeat(list(parts), sizes).astype(object)
        return Raw("mnist", images, labels, published, np.concatenate([np.arange(1, size + 1) for size in sizes]))
    images, labels = _read_uci(raw / "digits" / "digits.csv.gz")
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


def _load(path: Path) -> np.ndarray:
    try:
        content: np.ndarray = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the step prepare first") from None
    except (ValueError, EOFError) as error:
        raise UserError(f"{path} is not an array of the step prepare ({error}): run it again") from None
    return content


def _fates(pictures: Raw, limit: int) -> np.ndarray:
    """Split or rule (N,) of every picture.

    A published test set stays the test set; whatever else there is goes by content, so that anyone can compare: a
    tenth is validation, and a tenth test where none is published.
    """
    hashes = _hashes(pictures.images)
    tenths = np.array([int(each[:2], 16) % 10 for each in hashes])
    fates = np.full(len(hashes), "train", dtype=object)
    fates[tenths == 1] = "validation"
    fates[(tenths == 0) & (pictures.published == "")] = "test"
    fates[pictures.published == "test"] = "test"
    seen: set[str] = set()
    for row in np.argsort(pictures.published != "test", kind="stable"):
        if hashes[row] in seen:
            fates[row] = "duplicate"
        seen.add(hashes[row])
    kept = np.isin(fates, SPLITS).sum()
    if limit and limit < kept:
        for split in SPLITS:
            members = np.flatnonzero(fates == split)
            wanted = min(len(members), max(1, round(limit * len(members) / kept)))
            chosen = members[np.arange(wanted) * len(members) // wanted]
            fates[np.setdiff1d(members, chosen)] = "limit"
    return fates


def _hashes(images: np.ndarray) -> list[str]:
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images]


def _describe(images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """What validation asks of pictures, raw or prepared."""
    hashes = _hashes(images)
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    weight = images.reshape(len(images), -1).astype(np.float64)
    total = np.maximum(weight.sum(axis=1), 1)
    middle = (SIZE - 1) / 2
    places = np.indices((SIZE, SIZE)).reshape(2, -1) - middle
    return {
        "id": [each[:16] for each in hashes],
        "label": labels.astype(int),
        "copies": counts[inverse],
        "ink": (images >= 128).mean(axis=(1, 2)),
        "brightest": images.max(axis=(1, 2)).astype(int),
        "off_centre": np.hypot(*(weight @ axis / total for axis in places)),
    }

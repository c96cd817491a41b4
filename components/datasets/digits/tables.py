"""Tables of raw and prepared digits, for validation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.datasets.digits.raw import content_hashes, read_raw
from components.datasets.digits.reader import SIZE, SPLITS, load_array, read_split

if TYPE_CHECKING:
    import pandas as pd


def tables(raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
    """A row per raw picture (the table is named after the dataset) and a row per prepared one, for validation.

    `fate` is where a raw picture went: its split, or "dropped". `ink`: share of pixels at least half black.
    `off_centre`: pixels between the ink's centre of mass and the middle. Faults are columns of 0 and 1.
    """
    import pandas as pd

    pictures = read_raw(raw)
    kept = {split: (read_split(prepared, split), load_array(prepared / f"{split}_rows.npy")) for split in SPLITS}
    fates = np.full(len(pictures.labels), "dropped", dtype=object)
    for split, (_, rows) in kept.items():
        fates[rows] = split
    of_raw = _measured(pictures.images)
    raw_table = {
        "line": pictures.lines,
        "published": pictures.published,
        "fate": fates,
        **_described(of_raw, pictures.labels),
    }
    images = np.concatenate([split.images for split, _ in kept.values()])
    labels = np.concatenate([split.labels for split, _ in kept.values()])
    rows = np.concatenate([rows for _, rows in kept.values()])
    # What is measured of a picture is known from the raw one, unless its pixels are others.
    others = np.flatnonzero((_words(images) != _words(pictures.images)[rows]).any(axis=1))
    of_prepared = {name: values[rows] for name, values in of_raw.items()}
    for name, values in _measured(images[others]).items():
        of_prepared[name][others] = values
    changed = labels != pictures.labels[rows]
    changed[others] = True
    table = {
        "line": pictures.lines[rows],
        "split": np.repeat(list(kept), [len(rows) for _, rows in kept.values()]).astype(object),
        "published": pictures.published[rows],
        "changed": changed,
        **_described(of_prepared, labels),
    }
    frames = {pictures.dataset: pd.DataFrame(raw_table), "prepared": pd.DataFrame(table)}
    for frame in frames.values():
        for name in ("published", "fate", "split"):
            if name in frame:
                frame[name] = frame[name].astype(str)
    frames["prepared"]["changed"] = frames["prepared"]["changed"].astype(int)
    return frames


def _words(images: np.ndarray) -> np.ndarray:
    """Eight pixels as one number: an eighth of what there is to compare."""
    return np.ascontiguousarray(images).reshape(len(images), -1).view(np.uint64)


def _measured(images: np.ndarray) -> dict[str, np.ndarray]:
    """What validation asks of the pixels of pictures."""
    # Sums of rows and of columns hold the centre of mass: a copy of all pixels as floats took longer than the rest.
    sums = [images.sum(axis=axis, dtype=np.int64) for axis in (2, 1)]
    total = np.maximum(sums[0].sum(axis=1), 1)
    middle = (SIZE - 1) / 2
    places = np.arange(SIZE) - middle
    return {
        "hash": np.array(content_hashes(images), dtype=object),
        "ink": (images >= 128).mean(axis=(1, 2)),
        "brightest": images.max(axis=(1, 2), initial=0).astype(int),
        "off_centre": np.hypot(*(each @ places / total for each in sums)),
    }


def _described(measured: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, Any]:
    """What validation asks of pictures, raw or prepared. copies: pictures of the table with the same pixels."""
    pixels = dict(measured)
    hashes = pixels.pop("hash").tolist()
    counts = Counter(hashes)
    return {
        "id": [each[:16] for each in hashes],
        "label": labels.astype(int),
        "copies": [counts[each] for each in hashes],
        **pixels,
    }

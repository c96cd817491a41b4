"""Tables of raw and prepared digits, for validation."""

from __future__ import annotations

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


def _describe(images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """What validation asks of pictures, raw or prepared."""
    hashes = content_hashes(images)
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    # Sums of rows and of columns hold the centre of mass: a copy of all pixels as floats took longer than the rest.
    sums = [images.sum(axis=axis, dtype=np.int64) for axis in (2, 1)]
    total = np.maximum(sums[0].sum(axis=1), 1)
    middle = (SIZE - 1) / 2
    places = np.arange(SIZE) - middle
    return {
        "id": [each[:16] for each in hashes],
        "label": labels.astype(int),
        "copies": counts[inverse],
        "ink": (images >= 128).mean(axis=(1, 2)),
        "brightest": images.max(axis=(1, 2)).astype(int),
        "off_centre": np.hypot(*(each @ places / total for each in sums)),
    }

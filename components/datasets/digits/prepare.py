"""From raw files to prepared digits: every picture 28 x 28, 0 paper to 255 ink, split without leaks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.config import DatasetParams
from components.datasets.digits.raw import Raw, content_hashes, read_raw
from components.datasets.digits.reader import DIGITS, SPLITS
from components.errors import UserError
from components.files import write_json

if TYPE_CHECKING:
    pass

RULES = {
    "duplicate": "the same pixels as an earlier picture; the published test set comes first, so it loses none",
    "limit": "beyond the parameter datasets.digits.limit",
}
"""Why a picture may be dropped."""


def prepare(raw: Path, out: Path, params: DatasetParams) -> dict[str, Any]:
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


def _fates(pictures: Raw, limit: int) -> np.ndarray:
    """Split or rule (N,) of every picture.

    A published test set stays the test set; whatever else there is goes by content, so that anyone can compare: a
    tenth is validation, and a tenth test where none is published.
    """
    hashes = content_hashes(pictures.images)
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

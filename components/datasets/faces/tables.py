"""Tables of raw pictures and prepared images, for validation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from components.datasets.faces.category_reader import CALTECH
from components.datasets.faces.near_duplicates import near_pairs, picture_hash
from components.datasets.faces.reader import SPLITS
from components.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def tables(raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
    """A table of the raw pictures of each source, as prepare saw them, and one of the prepared images.

    Faults are columns of 0 and 1, so that a column's sum says how many pictures have the fault.
    """
    import pandas as pd

    path = prepared / "pictures.csv"
    if not path.exists():
        raise UserError(f"{path} is missing: run the step prepare first")
    seen = pd.read_csv(path, keep_default_na=False)
    tables = {str(source): rows.drop(columns="source") for source, rows in seen.groupby("source")}
    categories = category_table(prepared)
    return {**tables, "prepared": _prepared(prepared)} | ({} if categories is None else {"categories": categories})


def _prepared(prepared: Path) -> pd.DataFrame:
    import pandas as pd

    parts, hashes = [], []
    for split in SPLITS:
        part = pd.read_csv(prepared / f"{split}.csv", keep_default_na=False)
        images = np.load(prepared / f"{split}_images.npy", mmap_mode="r", allow_pickle=False)
        part.insert(1, "line", np.arange(len(part)) + 2)
        part["split"] = split
        part["brightness"] = [float(image.mean()) for image in images]
        part["contrast"] = [float(image.mean(axis=2).std()) for image in images]
        parts.append(part)
        hashes += [picture_hash(Image.fromarray(images[row])) for row in np.flatnonzero(part["face"])]
    table = pd.concat(parts, ignore_index=True)
    table["photo_in_splits"] = table.groupby("photo")["split"].transform("nunique")
    rows, splits = np.flatnonzero(table["face"]), table["split"].to_numpy()[table["face"] == 1]
    twins = {rows[end] for pair in near_pairs(np.stack(hashes)) for end in pair if splits[pair[0]] != splits[pair[1]]}
    table["twin_in_another_split"] = table.index.isin(twins).astype(int)
    return table


def category_table(prepared: Path) -> pd.DataFrame | None:
    """A row for each photograph that is learned by category: the category, and whether that is its file's own.

    None where there are no photographs by category, as in the starter data.
    """
    import pandas as pd

    parts = []
    for split in SPLITS:
        part = pd.read_csv(prepared / f"{split}.csv", keep_default_na=False)
        part.insert(1, "line", np.arange(len(part)) + 2)
        part["split"] = split
        parts.append(part[part["photo"].str.startswith(f"{CALTECH}/") & part["id"].str.endswith("#0")])
    table = pd.concat(parts, ignore_index=True)
    if table.empty:
        return None
    # As `category_reader` reads them.
    table["category"] = table["photo"].str.split("/").str[1]
    table["of_another_category"] = (table["category"] != table["file"].str.split("/").str[1]).astype(int)
    table["photo_in_splits"] = table.groupby("photo")["split"].transform("nunique")
    return table[["id", "line", "split", "photo", "category", "of_another_category", "photo_in_splits"]]

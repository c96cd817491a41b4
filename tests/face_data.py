"""A small prepared folder of real faces and photographs, for tests: `make test` fetches them."""

from __future__ import annotations

import csv
import io
import json
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import yaml
from PIL import Image

from components.config import Section
from components.sources.archive import read_tar

PROJECT = Path(__file__).resolve().parent.parent
RAW = PROJECT / "data" / "faces"
SIDE = 80
COUNTS = {"train": 320, "validation": 120, "audit": 160}
"""Faces of each split, and as many negatives."""
EVERY = 7
"""One in so many photographs is taken, so that all kinds come."""

Model = TypeVar("Model", bound=Section)


def section(model: type[Model], *keys: str, **changes: Any) -> Model:
    """A section of params.yaml, such as `faces`, `train`, with changes."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # many tests ask, and it is seven times as fast
    values = yaml.load((PROJECT / "params.yaml").read_text(), loader)  # noqa: S506 - it is a safe loader
    for key in keys:
        values = values[key]
    return model.model_validate_json(json.dumps(values | changes))


def write_prepared(folder: Path) -> Path:
    """Prepares the first faces, and crops of photographs without people, as the step prepare lays them out."""
    tars = RAW / "fairface" / "fairface_train_10k.tar", RAW / "caltech101" / "caltech101_nonfaces.tar"
    if not all(tar.exists() for tar in tars):
        pytest.skip("no faces: `make data` fetches them")
    total = sum(COUNTS.values())
    faces = list(islice(read_tar(tars[0]), total))
    photographs = list(islice(read_tar(tars[1]), 0, EVERY * total, EVERY))
    hard = {
        row["file"] for row in table_rows(RAW / "caltech101" / "caltech101_nonfaces.csv") if row["hard_negative"] == "1"
    }
    labels = {row["file"]: row for row in table_rows(RAW / "fairface" / "fairface_labels.csv")}
    first = 0
    for split, count in COUNTS.items():
        images, rows = [], []
        for name, content in faces[first : first + count]:
            images.append(reduced(content))
            known = labels[name]
            rows.append((name, name, name, 1, 0, known["race"], known["gender"], known["age"]))
        for index in range(first, first + count):
            name, content = photographs[index % len(photographs)]
            images.append(reduced(content))
            rows.append((f"{name}#{index}", name, name, 0, int(name in hard), "", "", ""))
        write_split(folder, split, np.stack(images), rows)
        first += count
    return folder


def write_split(folder: Path, split: str, images: np.ndarray, rows: list[tuple[Any, ...]]) -> None:
    np.save(folder / f"{split}_images.npy", images)
    with (folder / f"{split}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "file", "photo", "face", "hard", "race", "gender", "age"))
        writer.writerows(rows)


def reduced(content: bytes) -> np.ndarray:
    """The middle square, SIDE pixels wide."""
    with Image.open(io.BytesIO(content)) as image:
        image.draft("RGB", (SIDE, SIDE))
        picture = image.convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return np.asarray(picture.resize((SIDE, SIDE), box=(left, top, left + side, top + side)))


def table_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))

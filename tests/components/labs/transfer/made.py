"""A few categories of real photographs and a few real faces, as the step prepare leaves them."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.datasets.faces.reader import PHOTOGRAPHS
from components.labs import find
from components.labs.transfer.params import TransferParams
from components.params import load
from components.settings import project_root
from components.sources.archive import read_tar, write_tar
from components.sources.catalogue import raw_folder
from tests.face_data import RAW, reduced, table_rows, write_split

LAB = find("transfer")
CATEGORIES, EACH, FACES = 4, 16, 6
PARTS = {"train": slice(0, 8), "validation": slice(8, 12), "audit": slice(12, 16)}
SMALL = {
    "input_size": 64,
    "labelled": 6,
    "head_steps": 50,
    "max_epochs": 2,
    "patience": 2,
    "batch_size": 8,
    "precision": "32-true",
}


def weights() -> dict[str, Path]:
    """The folders of the lab's pretrained weights."""
    found = {name: project_root() / raw_folder(name, "course") for name in LAB.pretrained}
    if not all(folder.is_dir() for folder in found.values()):
        pytest.skip("no pretrained weights: `make data` fetches them")
    return found


def params(**changed: Any) -> TransferParams:
    every = load(LAB, project_root() / "params.yaml")
    assert isinstance(every, TransferParams)
    small = type(every.train).model_validate(every.train.model_dump() | SMALL | changed)
    return every.model_copy(
        update={"train": small, "export": every.export.model_copy(update={"calibration": 8})},
    )


def write_prepared(folder: Path) -> Path:
    tars = RAW / "fairface" / "fairface_train_10k.tar", RAW / "caltech101" / "caltech101_nonfaces.tar"
    if not all(tar.exists() for tar in tars):
        pytest.skip("no faces and photographs: `make data` fetches them")
    labels = {row["file"]: row for row in table_rows(RAW / "fairface" / "fairface_labels.csv")}
    faces = list(islice(read_tar(tars[0]), FACES))
    photographs: dict[str, list[tuple[str, bytes]]] = {}
    for name, content in read_tar(tars[1]):
        some = photographs.setdefault(name.split("/")[1], [])
        if len(some) < EACH:
            some.append((name, content))
        if len(photographs) > CATEGORIES:
            break
    for part, (split, places) in enumerate(PARTS.items()):
        images, rows = [], []
        for name, content in faces[part::3]:
            images.append(reduced(content))
            rows.append((name, name, name, 1, 0, labels[name]["race"], labels[name]["gender"], labels[name]["age"]))
        for category in list(photographs)[:CATEGORIES]:
            for name, content in photographs[category][places]:
                images.append(reduced(content))
                rows.append((name, name, name, 0, 0, "", "", ""))
        write_split(folder, split, np.stack(images), rows)
    write_tar(folder / PHOTOGRAPHS, sorted(pair for some in list(photographs.values())[:CATEGORIES] for pair in some))
    return folder

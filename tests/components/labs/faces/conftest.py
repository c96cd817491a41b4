"""A small slice of the real pictures, with all of FairFace's known near-duplicates in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from components.data.archive import read_tar, write_tar
from components.labs.faces.data import prepare
from components.labs.faces.params import Prepare

DATA = Path(__file__).resolve().parents[4] / "data"

LEAKS = {
    "train/9213.jpg": "val/1353.jpg",
    "train/6629.jpg": "val/2236.jpg",
    "train/1674.jpg": "val/3715.jpg",
    "train/7873.jpg": "val/1781.jpg",
    "train/9828.jpg": "val/3623.jpg",
    "train/9888.jpg": "val/454.jpg",
}
"""Of FairFace: the first three are the same files under other labels, the others the same photographs."""

PARAMS = Prepare(seed=1, size=80, crops=3, validation_share=0.15, audit_share=0.25, limit=0)


@pytest.fixture(scope="session")
def raw_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 300 real faces and 120 real photographs."""
    if not (DATA / "fairface").exists():
        pytest.skip("no FairFace: `make data` fetches it")
    raw = tmp_path_factory.mktemp("raw")
    wanted = {*LEAKS, *LEAKS.values()}
    wanted |= {f"train/{number}.jpg" for number in range(1, 200)} | {f"val/{number}.jpg" for number in range(1, 90)}
    for archive in ("fairface_train_10k", "fairface_val_5k"):
        _copy_tar("fairface", archive, raw, lambda name: name in wanted)
    _copy_csv("fairface", "fairface_labels", raw, lambda name: name in wanted)
    photographs = iter(range(10_000))
    chosen = {row["file"] for row in _rows("caltech101", "caltech101_nonfaces") if next(photographs) % 24 == 0}
    chosen |= {f"101_ObjectCategories/octopus/image_{number:04}.jpg" for number in range(1, 7)}
    _copy_tar("caltech101", "caltech101_nonfaces", raw, lambda name: name in chosen)
    _copy_csv("caltech101", "caltech101_nonfaces", raw, lambda name: name in chosen)
    return raw


@pytest.fixture(scope="session")
def prepared_faces(raw_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared-faces")
    prepare(raw_faces, folder, PARAMS)
    return folder


def _copy_tar(dataset: str, name: str, raw: Path, wanted: Callable[[str], bool]) -> None:
    (raw / dataset).mkdir(exist_ok=True)
    members = [(member, content) for member, content in read_tar(DATA / dataset / f"{name}.tar") if wanted(member)]
    write_tar(raw / dataset / f"{name}.tar", members)


def _rows(dataset: str, name: str) -> list[dict[str, str]]:
    with (DATA / dataset / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _copy_csv(dataset: str, name: str, raw: Path, wanted: Callable[[str], bool]) -> None:
    rows = [row for row in _rows(dataset, name) if wanted(row["file"])]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    (raw / dataset / f"{name}.csv").write_text(text.getvalue(), encoding="utf-8")

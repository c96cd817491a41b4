"""The raw pictures, faces and photographs without people, as they lie in the data folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from components.errors import UserError
from components.sources.archive import read_tar

MAX_PIXELS = 4_000_000


@dataclass(frozen=True)
class Picture:
    """One raw picture. image: None where it cannot be decoded."""

    id: str
    source: str
    """"fairface", "caltech101" or "lfw"."""
    is_face: bool
    image: Image.Image | None
    is_audit: bool | None = None
    """Whether its source publishes it for testing; None where the source does not say."""
    is_hard: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    """Perceived race, gender and age as annotators gave them; empty where nobody did."""


def read_pictures(raw: Path, limit: int = 0) -> Iterator[Picture]:
    """Every picture of the data folder; with a limit as many of each kind, evenly through the files.

    Raises UserError when there is neither FairFace nor the stand-in of the starter profile, or a table lacks a picture.
    """
    if (raw / "fairface").exists():
        yield from _fairface(raw / "fairface", limit)
        yield from _caltech101(raw / "caltech101", limit)
    elif (raw / "lfw").exists():
        yield from _lfw(raw / "lfw" / "lfw_subset.npy")
    else:
        raise UserError(f"{raw} has no fairface and no lfw: run the step fetch")


def _fairface(folder: Path, limit: int) -> Iterator[Picture]:
    labels = _table(folder / "fairface_labels.csv")
    wanted = _evenly(list(labels), limit)
    for archive, is_audit in (("fairface_train_10k.tar", False), ("fairface_val_5k.tar", True)):
        for name, content in read_tar(folder / archive):
            if name not in labels:
                raise UserError(f"{folder / 'fairface_labels.csv'} has no row for {name} of {archive}")
            if name in wanted:
                known = {column: labels[name][column] for column in ("race", "gender", "age")}
                yield Picture(name, "fairface", True, decode(content), is_audit, labels=known)


def _caltech101(folder: Path, limit: int) -> Iterator[Picture]:
    rows = _table(folder / "caltech101_nonfaces.csv")
    wanted = _evenly(list(rows), limit)
    for name, content in read_tar(folder / "caltech101_nonfaces.tar"):
        if name not in rows:
            raise UserError(f"{folder / 'caltech101_nonfaces.csv'} has no row for {name}")
        if name in wanted:
            yield Picture(name, "caltech101", False, decode(content), is_hard=rows[name]["hard_negative"] == "1")


def read_photographs(raw: Path) -> Iterator[tuple[str, bytes]]:
    """(name, JPEG file) of each photograph; none in the starter data."""
    archive = raw / "caltech101" / "caltech101_nonfaces.tar"
    return read_tar(archive) if archive.exists() else iter(())


def _lfw(path: Path) -> Iterator[Picture]:
    """scikit-image's subset: 200 grey pictures of 25 x 25, values 0 to 1, the first hundred of faces."""
    try:
        images = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise UserError(f"{path} is not an array: {error}") from None
    for index, image in enumerate(images):
        grey = Image.fromarray(np.rint(255 * image).astype(np.uint8))
        yield Picture(f"lfw/{index:03}", "lfw", index < len(images) // 2, grey)


def read_course_faces(raw: Path) -> Iterator[Image.Image]:
    """The 20 faces that the course tests with, no wider than their faces; none where the data folder lacks them."""
    archive = raw / "course_faces" / "course_faces.tar"
    if archive.exists():
        for name, content in read_tar(archive):
            image = decode(content, "PNG")
            if image is None:
                raise UserError(f"{archive}: {name} is damaged: fetch it again")
            yield image.convert("RGB")


def decode(content: bytes, kind: str = "JPEG") -> Image.Image | None:
    """The picture with every pixel read; None where it is damaged, not of that kind, or has more than MAX_PIXELS."""
    try:
        image = Image.open(io.BytesIO(content), formats=[kind])
        if image.width * image.height > MAX_PIXELS:
            return None
        image.load()
    except (OSError, SyntaxError):
        return None
    return image


def _table(path: Path) -> dict[str, dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["file"]: row for row in csv.DictReader(file)}
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the step fetch") from None


def _evenly(names: list[str], limit: int) -> set[str]:
    if not limit or limit >= len(names):
        return set(names)
    return {names[index * len(names) // limit] for index in range(limit)}

"""From raw pictures to the lab's images: splits without a picture or a near-duplicate in two, negatives as crops."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from components.datasets.faces.near_duplicates import clusters, near_pairs, picture_hash
from components.datasets.faces.params import FacesParams
from components.datasets.faces.raw import Picture, read_course_faces, read_photographs, read_pictures
from components.datasets.faces.reader import COURSE_FACES, PHOTOGRAPHS, SIZE, SPLITS, SplitName
from components.errors import UserError
from components.files import write_json, write_text
from components.sources.archive import write_tar

if TYPE_CHECKING:
    pass

RULES = {
    "damaged": "its pixels cannot be read",
    "person": "a photograph of the negatives that shows a person's face",
    "near_duplicate": "the same picture, or nearly, as one that is kept; one for the audit is kept first",
}
"""Why a raw picture may be dropped."""

PEOPLE = {"101_ObjectCategories/accordion/image_0005.jpg"}
"""Somebody looked: found among the false positives that no detector should be blamed for."""

LABELS = ("race", "gender", "age")
"""As annotators perceived them; empty for negatives and where nobody said."""

SMALLEST_CROP = 48
"""Pixels; a smaller crop of a photograph is mostly blur."""


@dataclass(frozen=True)
class Seen:
    """A raw picture as prepare keeps it: not its pixels, of which there are too many, but what is made of them."""

    picture: Picture
    hash: np.ndarray
    images: np.ndarray
    """(crops, size, size, 3) uint8 RGB; one for a face."""
    facts: dict[str, Any]


@dataclass(frozen=True)
class Fate:
    """What became of a raw picture."""

    place: str
    """Its split, or the rule that dropped it."""
    photo: str
    """The photograph that its images stand for: near-duplicates share one."""
    leak: bool = False
    """It is a near-duplicate of a picture that their source publishes on the other side, training or testing."""


def prepare(raw: Path, out: Path, params: FacesParams) -> dict[str, Any]:
    """Writes <split>_images.npy, <split>.csv, pictures.csv and report.json into `out`; returns the report.

    Also photographs.tar, those of all splits as their source has them, where the data holds photographs by category;
    and course_faces.npy (20, 64, 64, 3), faces that nothing is trained on nor chosen by, where the data holds them.
    images: (N, size, size, 3) uint8 RGB, faces whole, photographs as up to `crops` squares each. pictures.csv: a row
    for each raw picture, with what validation asks of it. Raises UserError when a split gets no faces or nothing else.
    """
    everything = [_look(picture, params) for picture in read_pictures(raw, params.limit)]
    fates = _fates(everything, params)
    counts: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        chosen = [(seen, fate) for seen, fate in zip(everything, fates, strict=True) if fate.place == split]
        rows = [row for seen, fate in chosen for row in _rows(seen, fate)]
        kinds = Counter(row["face"] for row in rows)
        if not (kinds[0] and kinds[1]):
            raise UserError(f"{raw}: the split '{split}' gets {kinds[1]} faces and {kinds[0]} negatives: take more")
        np.save(out / f"{split}_images.npy", np.concatenate([seen.images for seen, _ in chosen]))
        write_text(out / f"{split}.csv", _csv(rows))
        hard = sum(row["hard"] for row in rows)
        counts[split] = {"faces": kinds[1], "negatives": kinds[0], "hard_negatives": hard}
    kept = {seen.picture.id for seen, fate in zip(everything, fates, strict=True) if fate.place in SPLITS}
    photographs = sorted((name, content) for name, content in read_photographs(raw) if name in kept)
    if photographs:
        write_tar(out / PHOTOGRAPHS, photographs)
    course = [np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)) for image in read_course_faces(raw)]
    if course:
        np.save(out / COURSE_FACES, np.stack(course))
    table = [_with_fate(seen, fate) for seen, fate in zip(everything, fates, strict=True)]
    write_text(out / "pictures.csv", _csv(table))
    report = {
        "pictures": dict(Counter(seen.picture.source for seen in everything)),
        "splits": counts,
        "dropped": {
            rule: {"why": why, "pictures": {row["id"]: row["twin"] for row in table if row["fate"] == rule}}
            for rule, why in RULES.items()
        },
    }
    write_json(out / "report.json", report)
    return report


def _look(picture: Picture, params: FacesParams) -> Seen:
    image, size = picture.image, params.size
    if image is None:
        facts = {"width": 0, "height": 0, "mode": "", "damaged": 1, "brightness": 0.0, "contrast": 0.0}
        return Seen(picture, np.zeros(0, bool), np.empty((0, size, size, 3), np.uint8), facts)
    grey = np.asarray(image.convert("L"), np.float32)
    colours = image.convert("RGB")
    facts = {
        "width": image.width,
        "height": image.height,
        "mode": image.mode,
        "damaged": 0,
        "brightness": round(float(grey.mean()), 2),
        "contrast": round(float(grey.std()), 2),
    }
    # The same filter for faces and negatives, or its traces would tell them apart.
    whole = (0.0, 0.0, float(image.width), float(image.height))
    boxes = [whole] if picture.is_face else squares(picture.id, image.size, params)
    images = [np.asarray(colours.resize((size, size), Image.Resampling.BILINEAR, box=box)) for box in boxes]
    return Seen(dataclasses.replace(picture, image=None), picture_hash(image), np.stack(images), facts)


def squares(name: str, shape: tuple[int, int], params: FacesParams) -> list[tuple[float, float, float, float]]:
    """(left, top, right, bottom) in pixels of a photograph's crops: the largest, then some of random size and place."""
    draw = np.random.default_rng(list(hashlib.sha256(f"{params.seed}/{name}".encode()).digest()))
    width, height = shape
    longest = min(shape)
    boxes = []
    for number in range(params.crops if longest > SMALLEST_CROP else 1):
        side = draw.uniform(SMALLEST_CROP, longest) if number else longest
        left, top = draw.uniform(0, width - side), draw.uniform(0, height - side)
        boxes.append((left, top, left + side, top + side))
    return boxes


def _fates(everything: list[Seen], params: FacesParams) -> list[Fate]:
    """Faces: of near-duplicates one is kept, the audit's if it has one. Photographs: near-duplicates stay together."""
    fates = {index: Fate("damaged", seen.picture.id) for index, seen in enumerate(everything) if not len(seen.images)}
    fates |= {i: Fate("person", seen.picture.id) for i, seen in enumerate(everything) if seen.picture.id in PEOPLE}
    for is_face in (True, False):
        members = [i for i, seen in enumerate(everything) if seen.picture.is_face == is_face and i not in fates]
        members.sort(key=lambda i: not everything[i].picture.is_audit)
        if not members:
            continue
        pictures = [everything[i].picture for i in members]
        pairs = list(near_pairs(np.stack([everything[i].hash for i in members])))
        leaks = {end for pair in pairs for end in pair if pictures[pair[0]].is_audit != pictures[pair[1]].is_audit}
        for position, first in enumerate(clusters(len(members), pairs)):
            dropped = is_face and first != position
            place = "near_duplicate" if dropped else _split(pictures[first], params)
            fates[members[position]] = Fate(place, pictures[first].id, position in leaks)
    return [fates[index] for index in range(len(everything))]


def _split(picture: Picture, params: FacesParams) -> SplitName:
    """By the file's name and the seed, so that other pictures do not move it."""
    place = int(hashlib.sha256(f"{params.seed}/{picture.id}".encode()).hexdigest()[:8], 16) / 2**32
    if picture.is_audit or (picture.is_audit is None and place >= 1 - params.audit_share):
        return "audit"
    return "validation" if place < params.validation_share else "train"


def _rows(seen: Seen, fate: Fate) -> list[dict[str, Any]]:
    picture = seen.picture
    return [
        {
            "id": picture.id if picture.is_face else f"{picture.id}#{number}",
            "file": picture.id,
            "photo": fate.photo,
            "face": int(picture.is_face),
            "hard": int(picture.is_hard),
            **{label: picture.labels.get(label, "") for label in LABELS},
        }
        for number in range(len(seen.images))
    ]


def _with_fate(seen: Seen, fate: Fate) -> dict[str, Any]:
    """What validation asks of a raw picture."""
    picture = seen.picture
    return {
        "id": picture.id,
        "source": picture.source,
        "face": int(picture.is_face),
        "hard": int(picture.is_hard),
        **seen.facts,
        **{label: picture.labels.get(label, "") for label in LABELS},
        "fate": fate.place,
        "twin": fate.photo if fate.photo != picture.id else "",
        "near_duplicate": int(fate.photo != picture.id),
        "leak": int(fate.leak),
    }


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()

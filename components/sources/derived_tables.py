"""Tables made from raw files: the FairFace labels joined with their pictures, the list of Caltech pictures."""

import csv
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

from components.sources.archive import read_tar

HARD_NEGATIVES = Path(__file__).with_name("caltech101_hard_negatives.txt")
"""Pictures without people in which a face detector (UltraFace RFB-640, score above 0.5) saw a face, e.g. cougars.
Somebody looked at each: it is a judgement, so it is recorded here rather than computed."""


def fairface_labels(train_tar: Path, val_tar: Path, train_csv: Path, val_csv: Path) -> str:
    """CSV: file, split, age, gender, race, service_test, bytes, sha256; a row a picture, by split and number.

    The label files name pictures as "train/1.jpg" or "fairface/train/1.jpg". Raises KeyError for a picture without.
    """
    rows: list[tuple[object, ...]] = []
    for split, tar, labels in (("train", train_tar, train_csv), ("val", val_tar, val_csv)):
        pictures = dict(read_tar(tar))
        with labels.open(newline="", encoding="utf-8") as file:
            known = {row["file"].removeprefix("fairface/"): row for row in csv.DictReader(file)}
        for name in sorted(pictures, key=lambda name: int(Path(name).stem)):
            row = known[name]
            facts = (row["age"], row["gender"], row["race"], row["service_test"])
            rows.append((name, split, *facts, *_identity(pictures[name])))
    return _csv(("file", "split", "age", "gender", "race", "service_test", "bytes", "sha256"), rows)


def caltech101_nonfaces(tar: Path) -> str:
    """CSV: file, category, width, height (pixels), mode, hard_negative (0, 1), bytes, sha256; in the tar's order."""
    from PIL import Image

    hard = set(HARD_NEGATIVES.read_text(encoding="utf-8").split())
    rows: list[tuple[object, ...]] = []
    for name, content in read_tar(tar):
        category, picture = name.split("/")[1:]
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            width, height, mode = image.width, image.height, image.mode
        is_hard = int(f"{category}/{picture}" in hard)
        rows.append((name, category, width, height, mode, is_hard, *_identity(content)))
    return _csv(("file", "category", "width", "height", "mode", "hard_negative", "bytes", "sha256"), rows)


def _identity(content: bytes) -> tuple[int, str]:
    return len(content), hashlib.sha256(content).hexdigest()


def _csv(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()

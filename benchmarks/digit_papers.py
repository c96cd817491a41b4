"""Which papers digits are read on, as photographs show them: `python -m benchmarks.digit_papers`.

MNIST's digits are drawn on plain, shaded, noisy, lined and squared paper, with pens from thin to thick, from near and
far, blurred by a camera and stored as JPEG; each photograph goes the way of one that is sent to the digits API. The
sheets that the code was made with (`--side choosing`) have validation digits; those that judge it have test digits,
and other pitches, line widths, brightnesses, angles, blurs and noises. No print or pen was photographed.
"""

from __future__ import annotations

import argparse
import io
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.digit_photographs import CHOICES, KINDS, SEVERAL, Side, photograph, sheet
from components.bundle import Bundle
from components.datasets.digits.reader import Split, read_split
from components.families.classification.params import Serve
from components.families.classification.runtime import DigitModel, DistanceModel
from components.files import write_json
from components.labs import find
from components.labs.digits.params import DigitsParams
from components.params import load
from serving.core.problems import RefusalError
from serving.digits.preprocess import framed

ROOT = Path(__file__).resolve().parent.parent
SEED = 1

log = logging.getLogger(__name__)


class Reader:
    """Reads photographs as the digits API does."""

    def __init__(self, bundle: Bundle, serve: Serve) -> None:
        self._model, self._distance, self._serve = DigitModel.load(bundle), DistanceModel.load(bundle), serve

    def read(self, content: bytes) -> tuple[list[int], list[bool]]:
        """The digits from the left, and whether each is taken for none. Nothing where the API would refuse."""
        try:
            cuts = framed(Image.open(io.BytesIO(content)), self._serve.paper, self._serve.max_digits)
        except RefusalError:
            return [], []
        images = np.stack([cut.image for cut in cuts])
        abstains = self._distance.distances(images) > self._distance.limit if self._distance else [False] * len(images)
        return self._model.logits(images).argmax(axis=1).tolist(), list(map(bool, abstains))


def single(reader: Reader, split: Split, side: Side, kind: str, count: int) -> dict[str, int]:
    """Counts, of `count` digits, those that are read as one digit and those that are not relied on."""
    right = abstained = 0
    for index in range(count):
        draw = np.random.default_rng((index, SEED))
        label = index % 10
        digit = split.images[np.flatnonzero(split.labels == label)[index // 10]]
        paper = sheet(kind, side, draw)
        found, abstains = reader.read(photograph([digit], paper, draw))
        right += found == [label]
        abstained += found == [label] and abstains[0]
    return {"digits": count, "read": right, "of these, abstained": abstained}


def several(reader: Reader, split: Split, side: Side, kind: str, count: int) -> dict[str, int]:
    """Counts, of `count` numbers of two to six digits, those that are read whole and those with as many marks."""
    right = counted = 0
    for index in range(count):
        draw = np.random.default_rng((index, SEED + 1))
        rows = draw.integers(0, len(split.images), 2 + index % 5)
        paper = replace(sheet(kind, side, draw), height=float(draw.uniform(0.12, 0.18)))
        paper = replace(paper, pitch=max(paper.pitch, 0.45))
        found, _ = reader.read(photograph(list(split.images[rows]), paper, draw))
        right += found == split.labels[rows].tolist()
        counted += len(found) == len(rows)
    return {"numbers": count, "read": right, "with as many digits": counted}


def bare(reader: Reader, side: Side, kind: str, count: int) -> dict[str, int]:
    """Counts, of `count` sheets without a digit, the refused ones and those whose marks are all taken for none."""
    refused = abstained = 0
    for index in range(count):
        draw = np.random.default_rng((index, SEED + 2))
        found, abstains = reader.read(photograph([], sheet(kind, side, draw), draw))
        refused += not found
        abstained += bool(found) and all(abstains)
    return {"sheets": count, "refused": refused, "abstained": abstained}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=ROOT / "build" / "digits" / "export")
    parser.add_argument("--prepared", type=Path, default=ROOT / "build" / "digits" / "prepare")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "digit_papers.json")
    parser.add_argument("--side", choices=list(CHOICES), default="judging", help="judging has test digits")
    parser.add_argument("--count", type=int, default=60, help="digits of each kind; a third as many numbers")
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    params = load(find("digits"), ROOT / "params.yaml")
    assert isinstance(params, DigitsParams)
    reader = Reader(Bundle.open(options.bundle), params.serve)
    split = read_split(options.prepared, "test" if options.side == "judging" else "validation")
    result: dict[str, Any] = {"side": options.side, "one digit": {}, "several digits": {}, "no digit": {}}
    for kind in options.kinds:
        found = single(reader, split, options.side, kind, options.count)
        log.info("%-22s one digit: %3d of %d read", kind, found["read"], found["digits"])
        result["one digit"][kind] = found
    for kind in (kind for kind in SEVERAL if kind in options.kinds):
        found = several(reader, split, options.side, kind, options.count // 3)
        log.info("%-22s several: %3d of %d numbers read whole", kind, found["read"], found["numbers"])
        result["several digits"][kind] = found
        found = bare(reader, options.side, kind, options.count // 3)
        log.info("%-22s none: %d of %d sheets refused", kind, found["refused"], found["sheets"])
        result["no digit"][kind] = found
    write_json(options.out, result)
    log.info("wrote %s", options.out)


if __name__ == "__main__":
    main()

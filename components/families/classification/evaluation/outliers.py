"""Whether pictures that are no digits are told from test digits, by the detector that `export` chose."""

from __future__ import annotations

from typing import NamedTuple

from components.datasets.digits.reader import Split
from components.families.classification.runtime import DistanceModel
from components.families.classification.runtime.outlier_pictures import TEST, kinds
from components.stats import roc_auc


class Refusals(NamedTuple):
    """One kind of picture. auroc: of digits against these, by distance. refused: share that is taken for no digit."""

    auroc: float
    refused: float
    pictures: int


def measure(model: DistanceModel, test: Split, count: int, seed: int) -> tuple[dict[str, Refusals], float]:
    """By kind, and the share of test digits that is refused. count: pictures of each kind, at most."""
    digits = model.distances(test.images)
    found = {}
    for kind, images in kinds(test.images, TEST, count, seed).items():
        far = model.distances(images)
        found[kind] = Refusals(roc_auc(far, digits), float((far > model.limit).mean()), len(images))
    return found, float((digits > model.limit).mean())

"""The choice of what tells digits from other pictures, on validation pictures alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch import nn

from components.datasets.digits.reader import Split
from components.families.classification.export.distance import Blur, computed, distances, nearest, subspaces
from components.families.classification.params import Export
from components.families.classification.runtime.outlier_pictures import VALIDATION, kinds, mean_auroc
from components.stats import roc_auc


class Choice(NamedTuple):
    """The chosen detector. limit: beyond it a picture is taken for no digit.

    tried: of every candidate, AUROC of validation digits against each kind of validation picture.
    """

    name: str
    model: nn.Module
    limit: float
    tried: dict[str, dict[str, float]]


def choose_detector(train: Split, validation: Split, params: Export) -> Choice:
    """The candidate with the largest mean AUROC over MEAN_OF; the first of equals.

    Pictures that are no digits come from the source VALIDATION. The limit is the percentile
    `params.abstain_percentile` of validation digits.
    """
    pictures = kinds(validation.images, VALIDATION, params.outliers, params.seed)
    best: Choice | None = None
    tried: dict[str, dict[str, float]] = {}
    for name, model in candidates(train, params):
        near = distances(model, validation.images)
        tried[name] = {kind: roc_auc(distances(model, images), near) for kind, images in pictures.items()}
        if best is None or mean_auroc(tried[name]) > mean_auroc(tried[best.name]):
            best = Choice(name, model, float(np.percentile(near, params.abstain_percentile)), tried)
    assert best is not None  # noqa: S101 - params has at least one
    return best


def candidates(train: Split, params: Export) -> Iterator[tuple[str, nn.Module]]:
    """Name and model of each, by name: of equals the first is chosen, and a cluster hands over keys in any order."""
    blurred = computed(Blur(), train.images)
    for method, sizes in sorted(params.detectors.items()):
        found: Sequence[nn.Module]
        if method == "subspace":
            found = subspaces(blurred, train.labels, sizes)
        else:
            found = nearest(blurred, params.prototypes, sizes, angle=method == "angle")
        yield from zip((f"{method} {size}" for size in sizes), found, strict=True)

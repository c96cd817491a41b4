"""The choice of what tells digits from other pictures, on validation pictures alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import onnx

from components.datasets.digits.reader import Split
from components.families.classification.export.distance import (
    blurred_ink,
    computed,
    directions,
    nearest,
    one_thread,
    principal,
    subspaces,
)
from components.families.classification.params import Export
from components.families.classification.runtime.outlier_pictures import VALIDATION, kinds, mean_auroc
from components.stats import roc_auc


class Choice(NamedTuple):
    """The chosen detector. limit: beyond it a picture is taken for no digit.

    tried: of every candidate, AUROC of validation digits against each kind of validation picture.
    """

    name: str
    model: onnx.ModelProto
    limit: float
    tried: dict[str, dict[str, float]]


def choose_detector(train: Split, validation: Split, params: Export) -> Choice:
    """The candidate with the largest mean AUROC over MEAN_OF; the first of equals.

    Pictures that are no digits come from the source VALIDATION. The limit is the percentile
    `params.abstain_percentile` of validation digits.
    """
    pictures = kinds(validation.images, VALIDATION, params.outliers, params.seed)
    every = np.concatenate([validation.images, *pictures.values()])
    ends = np.cumsum([len(validation.images), *(len(images) for images in pictures.values())])
    best: Choice | None = None
    tried: dict[str, dict[str, float]] = {}
    with one_thread():
        for name, model in candidates(train, params):
            near, *far, _ = np.split(computed(model, every), ends)
            tried[name] = {kind: roc_auc(found, near) for kind, found in zip(pictures, far, strict=True)}
            if best is None or mean_auroc(tried[name]) > mean_auroc(tried[best.name]):
                best = Choice(name, model, float(np.percentile(near, params.abstain_percentile)), tried)
    assert best is not None  # noqa: S101 - params has at least one
    return best


def candidates(train: Split, params: Export) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Name and graph of each, by name: of equals the first is chosen, and a cluster hands over keys in any order.

    All are made of at most `params.prototypes` training pictures, taken evenly, and of the components of these.
    """
    rows = np.linspace(0, len(train.labels) - 1, min(params.prototypes, len(train.labels))).astype(int)
    prototypes = blurred_ink(train.images[rows])
    components = principal(directions(prototypes))
    for method, sizes in sorted(params.detectors.items()):
        if method == "subspace":
            found = subspaces(prototypes, train.labels[rows], components, sizes)
        else:
            found = nearest(prototypes, components, sizes, angle=method == "angle")
        yield from zip((f"{method} {size}" for size in sizes), found, strict=True)

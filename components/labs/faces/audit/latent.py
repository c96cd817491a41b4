"""The audit without labels, after the paper: are faces that the encoder finds rare missed more often?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from components.labs.faces.audit import permutation
from components.labs.faces.audit.intervals import difference
from components.labs.faces.audit.measures import Flags
from components.labs.faces.audit.params import Audit
from components.labs.faces.audit.permutation import Ints
from components.labs.faces.audit.schema import Estimate, Feature, LatentAudit, Rate, Tail
from components.stats import Floats, normal_quantile, wilson

TENTHS = 10
SHOWN = 10
"""Number of latent features reported, the most uneven ones."""


@dataclass(frozen=True)
class Latents:
    """Means of the encoder: of training faces, (faces, latent_dim), and of the audit's faces in their order."""

    train: Floats
    audit: Floats


def rarity(latents: Latents, bins: int, smoothing: float) -> Floats:
    """How strongly resampling would favour each audit face: (faces,), larger is rarer, only the order means anything.

    Amini et al. 2019, eq. 4: per latent dimension the inverse of the training faces' histogram density plus
    `smoothing`, scaled to a probability over the training faces; the largest over dimensions counts. A value outside
    the histogram is as rare as an empty bin.
    """
    largest = np.zeros(len(latents.audit))
    for train, audit in zip(latents.train.T, latents.audit.T, strict=True):
        density, edges = np.histogram(train, bins, density=True)
        inverse = 1 / np.concatenate([[smoothing], density + smoothing, [smoothing]])
        largest = np.maximum(largest, inverse[_bins(audit, edges)] / inverse[_bins(train, edges)].sum())
    return largest


def _bins(values: Floats, edges: Floats) -> Ints:
    """The bin of each value, from 1; 0 and one more than there are bins lie outside; the last edge is inside."""
    return np.where(values == edges[-1], len(edges) - 1, np.searchsorted(edges, values, "right"))


def tenths(values: Floats) -> Ints:
    """In which tenth of its column (0 lowest to 9) each value lies: tenths of equal size, ties by order."""
    ranks = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0, kind="stable")
    return ranks * TENTHS // len(values)


def latent_audit(latents: Latents, detectors: Mapping[str, Flags], params: Audit) -> LatentAudit | None:
    """Recall of rare against common faces for every detector, and the first one's by latent feature.

    detectors: (faces,) flags of which were found. None with fewer than ten faces.
    """
    if len(latents.audit) < TENTHS:
        return None
    by_weight = tenths(rarity(latents, params.latent_bins, params.latent_smoothing))
    first = next(iter(detectors.values()))
    return LatentAudit(
        by_weight={name: _tail(by_weight, detected, params) for name, detected in detectors.items()},
        features=_features(latents.audit, first, params),
    )


def _tail(tenth: Ints, detected: Flags, params: Audit) -> Tail:
    z = normal_quantile((1 - params.confidence) / 2)
    found, faces = np.bincount(tenth, detected, TENTHS).astype(int), np.bincount(tenth, minlength=TENTHS)
    rates = [
        Rate.of_bounds(wilson(count, of, z), count=int(count), of=int(of))
        for count, of in zip(found, faces, strict=True)
    ]
    apart = difference((found[0], faces[0]), (found[-1], faces[-1]), z)
    return Tail(rare=rates[-1], common=rates[0], difference=Estimate.of_bounds(apart), deciles=tuple(rates))


def _features(means: Floats, detected: Flags, params: Audit) -> tuple[Feature, ...]:
    """Every feature cuts the faces into tenths of the same sizes, so that one null serves them all."""
    tenth = tenths(means)
    faces = np.bincount(tenth[:, 0], minlength=TENTHS)
    found = np.stack([((tenth == index) & detected[:, None]).sum(0) for index in range(TENTHS)])
    recall = found / faces[:, None]
    gaps = recall.max(0) - recall.min(0)
    null = permutation.shuffled_hits(found[:, 0], faces, params.draws, params.seed) / faces
    by_chance = np.sort(null.max(1) - null.min(1))
    p_values = permutation.holm([permutation.p_value(by_chance, gap) for gap in gaps])
    return tuple(
        Feature(
            index=int(index),
            deciles=tuple(recall[:, index].tolist()),
            gap=float(gaps[index]),
            p_value_corrected=float(p_values[index]),
        )
        for index in np.argsort(-gaps, kind="stable")[:SHOWN]
    )

"""The content of `details` in audit.json, with a version of its own. Rates are shares, not percent."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np

from components.records import Measured, Record
from components.stats import Bounds

DETAILS_VERSION: Literal[1] = 1


class Estimate(Record):
    """A measured value with the interval of `confidence`; the value is null where there was nothing to measure."""

    value: Measured | None
    low: Measured
    high: Measured

    @classmethod
    def of_bounds(cls, bounds: Bounds, **details: int) -> Self:
        """From scalars in 0-d arrays."""
        value = float(bounds.value)
        none = np.isnan(value)
        return cls(value=None if none else value, low=float(bounds.low), high=float(bounds.high), **details)


class Rate(Estimate):
    """`count` of `of` items."""

    count: int
    of: int


class Group(Record):
    """A perceived group. Negatives have no group: AUC and calibration set its faces against all of them.

    brier_score, calibration_error: negatives weigh as many per face as in the whole split, so that groups compare.
    below_others: p-value that fewer of its faces are found than of the others', Holm-corrected over the attribute.
    """

    name: str
    small: bool
    recall: Rate
    roc_auc: Estimate
    brier_score: Measured | None
    calibration_error: Measured | None
    below_others: Measured | None


class Disparity(Record):
    """A way to say how unequal recall is, with the ends of the stratified bootstrap, less its bias."""

    value: Measured
    low: Measured
    high: Measured


class Gap(Record):
    """Best less worst recall. low, high hold the true gap; chance_*: what shuffled labels would show."""

    value: Measured | None
    low: Measured
    high: Measured
    best: str
    worst: str
    chance_mean: Measured
    chance_high: Measured
    p_value: Measured
    p_value_corrected: Measured
    """Holm-corrected over the attributes."""


class Attribute(Record):
    """Groups of an attribute or of an intersection, in a fixed order. Gap and disparities leave small ones out."""

    name: str
    gated: bool
    groups: tuple[Group, ...]
    gap: Gap | None
    disparities: dict[str, Disparity]


class Negatives(Record):
    """False positives, with intervals by photograph."""

    photographs: int
    all: Rate
    hard: Rate
    other: Rate
    contexts: dict[str, Rate]
    """By what the picture shows, most false positives first; those without any are left out."""


class AnimalHeads(Record):
    """Heads of animals, of categories that the detector has not learned from, and those that it takes for faces."""

    all: Rate
    categories: dict[str, Rate]


class SweepPoint(Record):
    """The audit split at a threshold that lets `target` of the validation negatives pass."""

    target: Measured
    threshold: Measured
    false_positive_rate: Measured
    recall: Measured
    worst_group_recall: Measured
    gaps: dict[str, Measured]


class Paired(Record):
    """A group's recall less the champion's on the same faces, with only_* the faces that one of them found alone."""

    attribute: str
    name: str
    difference: Estimate
    only_candidate: int
    only_champion: int
    p_value_corrected: Measured
    """McNemar's exact test, Holm-corrected over all groups."""


class NoisePoint(Record):
    """If `share` of the labels of an attribute were wrong, at random.

    verdicts: what the gate would have said, as shares of relabellings. gap: what it would have measured, on average.
    true_gap: if the labels in hand are the wrong ones, the gap that lies behind the one measured.
    """

    attribute: str
    share: Measured
    verdicts: dict[str, Measured]
    gap: Measured
    true_gap: Measured


class SimulatedPoint(Record):
    """Audits of simulated detectors: all groups found equally but `group`, which is found less by `gap`."""

    group: str
    gap: Measured
    verdicts: dict[str, Measured]


class Tail(Record):
    """Recall of rare and common faces by one measure of rarity, of one detector."""

    rare: Rate
    common: Rate
    difference: Estimate
    """Recall of the common tenth less that of the rare tenth."""
    deciles: tuple[Rate, ...]
    """From the most common tenth of the audit faces to the rarest."""


class Feature(Record):
    """A latent feature of the encoder, and recall by tenths of its values."""

    index: int
    deciles: tuple[Measured, ...]
    gap: Measured
    p_value_corrected: Measured


class LatentAudit(Record):
    """Without any label: which faces does the encoder find rare, and are they missed more often?"""

    by_weight: dict[str, Tail]
    """By detector (candidate, champion): tenths by the weight that resampling would give a face, by one encoder."""
    features: tuple[Feature, ...]
    """The candidate's, the most uneven ones first."""


class Details(Record):
    version: Literal[1] = DETAILS_VERSION
    confidence: Measured
    threshold: Measured
    validation_false_positive_rate: Rate
    recall: Rate
    roc_auc: Estimate
    brier_score: Measured
    calibration_error: Estimate
    attributes: tuple[Attribute, ...]
    negatives: Negatives
    sweep: tuple[SweepPoint, ...]
    paired: tuple[Paired, ...]
    label_noise: tuple[NoisePoint, ...]
    simulation: tuple[SimulatedPoint, ...]
    latent: LatentAudit | None
    animals: AnimalHeads | None = None

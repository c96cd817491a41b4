"""Recall, AUC and calibration by perceived group and by intersection, and how unequal the groups are."""

from __future__ import annotations

from itertools import product

import numpy as np

from components.labs.faces.audit import permutation
from components.labs.faces.audit.intervals import gap
from components.labs.faces.audit.measures import Flags, brier_score, calibration_error, disparities, roc_auc_bounds
from components.labs.faces.audit.params import Audit
from components.labs.faces.audit.permutation import Ints
from components.labs.faces.audit.schema import Attribute, Disparity, Estimate, Gap, Group, Rate
from components.labs.faces.audit.table import AGE_ORDER, Scored, Texts
from components.stats import normal_quantile, sigmoid, wilson

LIMITS = {"gap": (0, 1), "ratio": (0, 1), "variance": (0, np.inf), "max_to_geometric_mean": (1, np.inf)}
"""Least and largest value of each disparity."""


def attributes_of(scored: Scored, detected: Flags, params: Audit) -> tuple[Attribute, ...]:
    """Gated attributes, age bands, and every pair of them. detected: (faces,) flags."""
    single = {**params.groups, "age": AGE_ORDER}
    names = list(single)
    pairs = [(one, two) for index, one in enumerate(names) for two in names[index + 1 :]]
    groups = {name: list(single[name]) for name in names}
    groups |= {f"{one} x {two}": [f"{a}, {b}" for a, b in product(single[one], single[two])] for one, two in pairs}
    found = [
        _attribute(name, name in params.groups, expected, scored, detected, params) for name, expected in groups.items()
    ]
    tested = [attribute for attribute in found if attribute.gap]
    corrected = iter(permutation.holm([attribute.gap.p_value for attribute in tested if attribute.gap]).tolist())
    return tuple(
        attribute.model_copy(update={"gap": attribute.gap.model_copy(update={"p_value_corrected": next(corrected)})})
        if attribute.gap
        else attribute
        for attribute in found
    )


def _attribute(
    name: str, gated: bool, expected: list[str], scored: Scored, detected: Flags, params: Audit
) -> Attribute:
    """The expected groups, those without faces too, then any other that the labels hold."""
    labels = scored.table.labels(name)[scored.table.face]
    names = [*expected, *sorted(set(labels.tolist()) - {*expected, ""})]
    cells = [labels == group for group in names]
    trials = np.array([cell.sum() for cell in cells])
    successes = np.array([detected[cell].sum() for cell in cells])
    null = permutation.shuffled_hits(successes, trials, params.draws, params.seed)
    # One-sided: are fewer of this group's faces found than under permuted labels?
    below = permutation.holm([permutation.p_value(-null[:, index], -successes[index]) for index in range(len(names))])
    large = trials >= params.small_cell
    return Attribute(
        name=name,
        gated=gated,
        groups=tuple(
            _group(group, cell, float(p_value), scored, detected, params)
            for group, cell, p_value in zip(names, cells, below, strict=True)
        ),
        gap=_gap(np.array(names)[large], successes[large], trials[large], params) if large.sum() > 1 else None,
        disparities=_disparities(successes[large], trials[large], params) if large.sum() > 1 else {},
    )


def _group(name: str, cell: Flags, below: float, scored: Scored, detected: Flags, params: Audit) -> Group:
    table, count = scored.table, int(cell.sum())
    found = wilson(detected[cell].sum(), count, normal_quantile((1 - params.confidence) / 2))
    faces, negatives = scored.logits[table.face], scored.logits[~table.face]
    auc = roc_auc_bounds(faces[cell], negatives, table.photo[~table.face], params.confidence)
    brier = error = None
    if count:
        probabilities = sigmoid(np.concatenate([faces[cell], negatives]))
        is_face = np.arange(len(probabilities)) < count
        weights = np.where(is_face, 1.0, count / len(faces))
        brier = brier_score(probabilities, is_face, weights)
        error = calibration_error(probabilities, is_face, weights, params.calibration_bins)
    return Group(
        name=name,
        small=count < params.small_cell,
        recall=Rate.of_bounds(found, count=int(detected[cell].sum()), of=count),
        roc_auc=Estimate.of_bounds(auc),
        brier_score=brier,
        calibration_error=error,
        below_others=below if count else None,
    )


def _gap(names: Texts, successes: Ints, trials: Ints, params: Audit) -> Gap:
    bounds, recall = gap(successes, trials, params.confidence), successes / trials
    null = permutation.shuffled_hits(successes, trials, params.draws, params.seed) / trials
    by_chance = null.max(1) - null.min(1)
    p_value = permutation.p_value(by_chance, float(bounds.value))
    return Gap(
        value=float(bounds.value),
        low=float(bounds.low),
        high=float(bounds.high),
        best=str(names[recall.argmax()]),
        worst=str(names[recall.argmin()]),
        chance_mean=float(by_chance.mean()),
        chance_high=float(np.quantile(by_chance, params.confidence)),
        p_value=p_value,
        p_value_corrected=p_value,
    )


def _disparities(successes: Ints, trials: Ints, params: Audit) -> dict[str, Disparity]:
    """With percentiles of a bootstrap that draws within each group.

    Resampled groups differ more than the sample's do, as these differ more than the truth: the percentiles are moved
    back by what the resamples exceed the sample by (a bias correction by shift; Efron and Tibshirani 1993, chapter 10).
    """
    ends = [(1 - params.confidence) / 2, (1 + params.confidence) / 2]
    resampled = disparities(permutation.resampled_hits(successes, trials, params.draws, params.seed), trials)
    measured = disparities(successes, trials)
    found = {}
    for name, value in measured.items():
        low, high = np.clip(np.quantile(resampled[name], ends) - resampled[name].mean() + value, *LIMITS[name])
        found[name] = Disparity(value=float(value), low=float(low), high=float(high))
    return found

"""The criteria of the audit, PASS, FAIL or INSUFFICIENT: pure, and the same for one audit or for thousands.

A detector passes a criterion where its whole interval meets the bound. It fails recall and false positives where the
measured value misses the bound, and a gap, which chance only widens, where the whole interval does. Anything between
is INSUFFICIENT: more faces could settle it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.labs.faces.audit.intervals import gap
from components.labs.faces.audit.params import Audit
from components.labs.faces.audit.schema import Attribute, Details, Estimate, Gap, Paired
from components.records import WORST_FIRST, Requirement, Verdict
from components.stats import Bounds, normal_quantile, wilson

Codes = NDArray[np.int64]

WORSE: tuple[Verdict, ...] = (Verdict.PASS, Verdict.INSUFFICIENT, Verdict.FAIL)
"""A verdict as a number: its place here, so that the worst of several is their maximum."""


def at_least(bounds: Bounds, bound: float) -> Codes:
    """Codes of rates that must be shown to reach `bound`. An unmeasured one (nan) is insufficient."""
    return np.where(bounds.low >= bound, 0, np.where(bounds.value < bound, 2, 1))


def at_most(bounds: Bounds, bound: float) -> Codes:
    """Codes of rates that must be shown not to exceed `bound`."""
    return np.where(bounds.high <= bound, 0, np.where(bounds.value > bound, 2, 1))


def small_gap(bounds: Bounds, bound: float) -> Codes:
    """Codes of gaps: passes with the upper end within `bound`, fails with the lower end above it."""
    return np.where(bounds.high <= bound, 0, np.where(bounds.low > bound, 2, 1))


def group_codes(successes: ArrayLike, trials: ArrayLike, params: Audit) -> Codes:
    """The verdict on an attribute's groups (the last axis): enough faces, recall of each, gap between them."""
    successes, trials = np.broadcast_arrays(np.asarray(successes), np.asarray(trials))
    enough = trials >= params.min_faces
    recall = wilson(successes, trials, normal_quantile((1 - params.confidence) / 2))
    floors = np.where(enough, at_least(recall, params.min_recall), 1)
    between = small_gap(gap(successes, trials, params.confidence), params.max_gap)
    return np.asarray(np.maximum(floors.max(-1), between), np.int64)


def requirements(details: Details, params: Audit) -> tuple[Requirement, ...]:
    """Everything the audit asks, worst answer first, each reason with its numbers."""
    gated = [attribute for attribute in details.attributes if attribute.gated]
    found = [_faces(gated, params), _photographs(details, params), _floor(gated, params), _negatives(details, params)]
    found += [_gap(attribute, params) for attribute in gated] + [_calibration(details, params)]
    found += [_champion(details.paired, params)] if details.paired else []
    return tuple(sorted(found, key=lambda requirement: WORST_FIRST.index(requirement.verdict)))


def _faces(gated: list[Attribute], params: Audit) -> Requirement:
    few = [
        f"{group.name} has {group.recall.of}"
        for attribute in gated
        for group in attribute.groups
        if group.recall.of < params.min_faces
    ]
    if few:
        reason = f"every gated group needs {params.min_faces} audit faces: {', '.join(few)}"
        return Requirement(name="faces", verdict=Verdict.INSUFFICIENT, reason=reason)
    fewest = min(group.recall.of for attribute in gated for group in attribute.groups)
    reason = f"every gated group has {params.min_faces} audit faces or more (the smallest {fewest})"
    return Requirement(name="faces", verdict=Verdict.PASS, reason=reason)


def _photographs(details: Details, params: Audit) -> Requirement:
    count, needed = details.negatives.photographs, params.min_photographs
    verdict = Verdict.PASS if count >= needed else Verdict.INSUFFICIENT
    reason = f"{count} photographs without faces, {needed} needed"
    return Requirement(name="photographs", verdict=verdict, reason=reason)


def _floor(gated: list[Attribute], params: Audit) -> Requirement:
    """The worst group of those with enough faces; the requirement `faces` covers the others."""
    name = "worst_group_recall"
    groups = [group for attribute in gated for group in attribute.groups if group.recall.of >= params.min_faces]
    if not groups:
        return Requirement(name=name, verdict=Verdict.INSUFFICIENT, reason="no gated group has enough faces")
    worst = min(groups, key=lambda group: group.recall.low)
    code = int(at_least(_bounds(worst.recall), params.min_recall))
    reason = (
        f"recall of faces perceived as {worst.name} is {_interval(worst.recall)}, "
        f"its lower end must reach {params.min_recall:.1%}"
    )
    return Requirement(name=name, verdict=WORSE[code], reason=reason)


def _negatives(details: Details, params: Audit) -> Requirement:
    rate = details.negatives.all
    code = int(at_most(_bounds(rate), params.max_false_positive_rate))
    reason = (
        f"false-positive rate is {_interval(rate)} ({rate.count} of {rate.of}), "
        f"its upper end must not exceed {params.max_false_positive_rate:.1%}"
    )
    return Requirement(name="false_positive_rate", verdict=WORSE[code], reason=reason)


def _gap(attribute: Attribute, params: Audit) -> Requirement:
    name = f"recall_gap_{attribute.name}"
    found = attribute.gap
    if found is None or found.value is None:
        reason = f"no two groups of perceived {attribute.name} have faces"
        return Requirement(name=name, verdict=Verdict.INSUFFICIENT, reason=reason)
    code = int(small_gap(_bounds(found), params.max_gap))
    reason = (
        f"largest difference of recall by perceived {attribute.name} is {100 * found.value:.1f} points "
        f"({found.best} against {found.worst}), the true one between {100 * found.low:.1f} and {100 * found.high:.1f}; "
        f"allowed are {100 * params.max_gap:.1f} (chance alone shows {100 * found.chance_mean:.1f} on average)"
    )
    return Requirement(name=name, verdict=WORSE[code], reason=reason)


def _calibration(details: Details, params: Audit) -> Requirement:
    """Like a gap, chance only ever widens it."""
    error, allowed = details.calibration_error, params.max_calibration_error
    reason = (
        f"stated probabilities are off by {100 * (error.value or 0):.1f} points on average, in truth by "
        f"{100 * error.low:.1f} to {100 * error.high:.1f}; allowed are {100 * allowed:.1f}"
    )
    code = int(small_gap(_bounds(error), allowed))
    return Requirement(name="calibration_error", verdict=WORSE[code], reason=reason)


def _champion(paired: tuple[Paired, ...], params: Audit) -> Requirement:
    """A loss is shown where the whole paired interval lies beyond what may be lost."""
    name = "loss_to_champion"
    lost = [pair for pair in paired if pair.difference.high < -params.max_loss]
    worst = min(lost or paired, key=lambda pair: pair.difference.high)
    change = f"{worst.name} {_points(worst.difference.value)} ({_points(worst.difference.low)} to "
    change += f"{_points(worst.difference.high)}) points of recall"
    if lost:
        reason = f"{len(lost)} groups lose more than {100 * params.max_loss:.1f} points to the champion: {change}"
        return Requirement(name=name, verdict=Verdict.FAIL, reason=reason)
    reason = f"no group is shown to lose more than {100 * params.max_loss:.1f} points to the champion; nearest {change}"
    return Requirement(name=name, verdict=Verdict.PASS, reason=reason)


def _bounds(found: Estimate | Gap) -> Bounds:
    value = np.nan if found.value is None else found.value
    return Bounds(np.asarray(value), np.asarray(found.low), np.asarray(found.high))


def _interval(found: Estimate) -> str:
    value = "unknown" if found.value is None else f"{found.value:.1%}"
    return f"{value} ({found.low:.1%} to {found.high:.1%})"


def _points(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:+.1f}"

"""The analysis behind audit.json: scores and labels as arrays in, a record out, no model and no files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.labs.faces.audit import permutation
from components.labs.faces.audit.attributes import attributes_of
from components.labs.faces.audit.intervals import paired_difference
from components.labs.faces.audit.latent import Latents, latent_audit
from components.labs.faces.audit.measures import Flags, brier_score, roc_auc_bounds
from components.labs.faces.audit.params import Audit
from components.labs.faces.audit.schema import (
    AnimalHeads,
    Details,
    Estimate,
    LatentAudit,
    Negatives,
    Paired,
    Rate,
    SweepPoint,
)
from components.labs.faces.audit.simulate import label_noise, simulation
from components.labs.faces.audit.table import Scored, Table, Texts
from components.stats import Floats, normal_quantile, sigmoid, threshold_at, wilson


@dataclass(frozen=True)
class Animals:
    """category: (heads,) what each is.  logits: (heads,)."""

    category: Texts
    logits: Floats


@dataclass(frozen=True)
class Evidence:
    """The input of the analysis. threshold: on logits; `>` is a face."""

    validation: Scored
    audit: Scored
    threshold: float
    champion: Flags | None = None
    """Which audit faces the champion finds at its own threshold, in the order of the audit's faces."""
    latents: Latents | None = None
    animals: Animals | None = None

    @property
    def detected(self) -> Flags:
        """(faces,): which of the audit's faces are found."""
        return self.audit.logits[self.audit.table.face] > self.threshold


def analyse(evidence: Evidence, params: Audit) -> Details:
    """Measures everything, from (faces,) and (negatives,) scores. Raises ValueError without any face or negative."""
    table, logits = evidence.audit.table, evidence.audit.logits
    faces, negatives = logits[table.face], logits[~table.face]
    if not len(faces) or not len(negatives):
        raise ValueError("the audit split needs faces and negatives")
    detected, z = evidence.detected, normal_quantile((1 - params.confidence) / 2)
    probabilities, weights = sigmoid(logits), np.ones(len(table))
    return Details(
        confidence=params.confidence,
        threshold=evidence.threshold,
        validation_false_positive_rate=_validation_rate(evidence, params),
        recall=Rate.of_bounds(wilson(detected.sum(), len(faces), z), count=int(detected.sum()), of=len(faces)),
        roc_auc=Estimate.of_bounds(roc_auc_bounds(faces, negatives, table.photo[~table.face], params.confidence)),
        brier_score=brier_score(probabilities, table.face, weights),
        calibration_error=_calibration(probabilities, table, params),
        attributes=attributes_of(evidence.audit, detected, params),
        negatives=negatives_of(evidence.audit, evidence.threshold, params),
        sweep=sweep(evidence.validation, evidence.audit, params),
        paired=() if evidence.champion is None else paired(table, detected, evidence.champion, params),
        label_noise=label_noise(table, detected, params),
        simulation=simulation(table, detected, params),
        latent=_latents(evidence, params),
        animals=None if evidence.animals is None else animals_of(evidence.animals, evidence.threshold, params),
    )


def negatives_of(scored: Scored, threshold: float, params: Audit) -> Negatives:
    """False positives overall, hard negatives apart, and by what the pictures show."""
    table = scored.table
    empty = ~table.face
    passed, photo = scored.logits[empty] > threshold, table.photo[empty]
    hard, context = table.hard[empty], table.context()[empty]

    def of(chosen: Flags, draws: int = params.draws) -> Rate:
        bounds = permutation.clustered_rate(passed[chosen], photo[chosen], draws, params.confidence, params.seed)
        return Rate.of_bounds(bounds, count=int(passed[chosen].sum()), of=int(chosen.sum()))

    mistaken = sorted(set(context[passed].tolist()), key=lambda name: (-int(passed[context == name].sum()), name))
    return Negatives(
        photographs=len(set(photo.tolist())),
        all=of(np.ones(len(passed), bool)),
        hard=of(hard),
        other=of(~hard),
        contexts={name: of(context == name, min(params.draws, 1000)) for name in mistaken},
    )


def animals_of(animals: Animals, threshold: float, params: Audit) -> AnimalHeads:
    """How many heads are taken for faces, of all and of each category; each is of another photograph."""
    passed, z = animals.logits > threshold, normal_quantile((1 - params.confidence) / 2)

    def of(chosen: Flags) -> Rate:
        count, total = int(passed[chosen].sum()), int(chosen.sum())
        return Rate.of_bounds(wilson(count, total, z), count=count, of=total)

    names = sorted(set(animals.category.tolist()))
    by_category = {name: of(animals.category == name) for name in names}
    return AnimalHeads(all=of(np.ones(len(passed), bool)), categories=by_category)


def sweep(validation: Scored, audit: Scored, params: Audit) -> tuple[SweepPoint, ...]:
    """The audit split at thresholds that other false-positive rates on validation would have chosen."""
    table = audit.table
    faces, negatives = audit.logits[table.face], audit.logits[~table.face]
    points = []
    for target in params.sweep:
        threshold = threshold_at(validation.negatives(), target)
        found = faces > threshold
        recalls = {
            attribute: [
                float(found[of].mean()) for name in groups if (of := table.labels(attribute)[table.face] == name).any()
            ]
            for attribute, groups in params.groups.items()
        }
        everywhere = [value for values in recalls.values() for value in values]
        points.append(
            SweepPoint(
                target=target,
                threshold=threshold,
                false_positive_rate=float((negatives > threshold).mean()),
                recall=float(found.mean()),
                worst_group_recall=min(everywhere, default=float("nan")),
                gaps={name: max(values) - min(values) if values else float("nan") for name, values in recalls.items()},
            )
        )
    return tuple(points)


def paired(table: Table, candidate: Flags, champion: Flags, params: Audit) -> tuple[Paired, ...]:
    """Candidate against champion on the same faces, for every gated group that has any."""
    z = normal_quantile((1 - params.confidence) / 2)
    cells = [
        (attribute, name, of)
        for attribute, groups in params.groups.items()
        for name in groups
        if (of := table.labels(attribute)[table.face] == name).any()
    ]
    gained = [int((candidate & ~champion & of).sum()) for _, _, of in cells]
    lost = [int((champion & ~candidate & of).sum()) for _, _, of in cells]
    corrected = permutation.holm([permutation.mcnemar(*counts) for counts in zip(gained, lost, strict=True)])
    found = []
    for (attribute, name, of), more, fewer, p_value in zip(cells, gained, lost, corrected, strict=True):
        both, neither = int((candidate & champion & of).sum()), int((~candidate & ~champion & of).sum())
        found.append(
            Paired(
                attribute=attribute,
                name=name,
                difference=Estimate.of_bounds(paired_difference(both, more, fewer, neither, z)),
                only_candidate=more,
                only_champion=fewer,
                p_value_corrected=float(p_value),
            )
        )
    return tuple(found)


def _validation_rate(evidence: Evidence, params: Audit) -> Rate:
    table = evidence.validation.table
    passed = evidence.validation.negatives() > evidence.threshold
    bounds = permutation.clustered_rate(passed, table.photo[~table.face], params.draws, params.confidence, params.seed)
    return Rate.of_bounds(bounds, count=int(passed.sum()), of=len(passed))


def _calibration(probabilities: Floats, table: Table, params: Audit) -> Estimate:
    # A draw weighs every face, which is a cluster of its own: a thousand are 50 MB.
    draws = min(params.draws, 1000)
    bins, sure = params.calibration_bins, params.confidence
    bounds = permutation.clustered_calibration_error(
        probabilities, table.face, table.photo, bins, draws, sure, params.seed
    )
    return Estimate.of_bounds(bounds)


def _latents(evidence: Evidence, params: Audit) -> LatentAudit | None:
    if evidence.latents is None:
        return None
    detectors = {"candidate": evidence.detected}
    if evidence.champion is not None:
        detectors["champion"] = evidence.champion
    return latent_audit(evidence.latents, detectors, params)

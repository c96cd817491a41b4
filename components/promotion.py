"""Whether a candidate may replace the champion: a pure decision."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date
from typing import NamedTuple

from components.config import Bound, Gate, Waiver
from components.records import (
    WORST_FIRST,
    Champion,
    ChampionSeen,
    Decision,
    EvaluationReport,
    Requirement,
    Verdict,
)


def decide(
    candidate: EvaluationReport,
    champion: Champion | None,
    gates: Gate,
    today: date,
    requirements: tuple[Requirement, ...] = (),
    reference_models: Mapping[str, Verdict | None] | None = None,
) -> Decision:
    """Judges every gated metric: its bound, and its distance to the champion's value where both saw the same
    data and were measured with the same reference models.

    requirements: an audit's answers, which count like metrics.
    reference_models: what their own gates said of the models that the candidate was measured with, by lab; None where
    none did. What was measured with one that did not pass is INSUFFICIENT.
    FAIL when any metric fails, else INSUFFICIENT when any was not measured well enough, else WAIVED when a waiver
    was needed, else PASS. A metric that is not a number fails, and no waiver helps it.
    """
    comparable = champion if champion is not None and not _not_comparable(candidate, champion) else None
    findings = [
        _judge(name, bound, candidate, comparable, gates.waivers, today) for name, bound in gates.metrics.items()
    ]
    findings += [_audited(requirement, gates.waivers, today) for requirement in requirements]
    findings += _reference_models(candidate, reference_models or {})
    findings += _notes(candidate, champion, gates.profile)
    findings.sort(key=lambda finding: WORST_FIRST.index(finding.verdict))
    verdict = findings[0].verdict
    return Decision(
        lab=candidate.lab,
        verdict=verdict,
        reasons=tuple(finding.reason for finding in findings),
        waived_until=min(finding.until for finding in findings if finding.until) if verdict is Verdict.WAIVED else None,
        model_digest=candidate.model_digest,
        provenance=candidate.provenance,
        champion=ChampionSeen(version=champion.version, model_digest=champion.model_digest) if champion else None,
        metrics=candidate.metrics,
        reference_models=candidate.reference_models,
    )


class Finding(NamedTuple):
    verdict: Verdict
    reason: str
    until: date | None = None


def _judge(
    name: str,
    bound: Bound,
    candidate: EvaluationReport,
    champion: Champion | None,
    waivers: tuple[Waiver, ...],
    today: date,
) -> Finding:
    if name not in candidate.metrics:
        return Finding(Verdict.INSUFFICIENT, f"{name} was not measured")
    value = candidate.metrics[name]
    if not math.isfinite(value):
        return Finding(Verdict.FAIL, f"{name} is {value}, not a number")
    count = candidate.counts.get(name, 0)
    if count < bound.min_count:
        return Finding(Verdict.INSUFFICIENT, f"{name} was measured over {count} items, min_count {bound.min_count}")
    misses = "; ".join(_misses(name, value, bound, champion))
    if not misses:
        limit = f"max {bound.max}" if bound.max is not None else f"min {bound.min}"
        return Finding(Verdict.PASS, f"{name} {value} is within its bound, {limit}")
    return _failed(name, misses, waivers, today)


def _audited(requirement: Requirement, waivers: tuple[Waiver, ...], today: date) -> Finding:
    reason = f"audit: {requirement.reason}"
    if requirement.verdict is not Verdict.FAIL:
        return Finding(requirement.verdict, reason)
    return _failed(f"audit.{requirement.name}", reason, waivers, today)


def _failed(name: str, reason: str, waivers: tuple[Waiver, ...], today: date) -> Finding:
    for waiver in waivers:
        if waiver.metric == name and today <= waiver.until:
            by = f"waived until {waiver.until} by {waiver.by} ({waiver.reason})"
            return Finding(Verdict.WAIVED, f"{reason}: {by}", waiver.until)
    return Finding(Verdict.FAIL, reason)


def _misses(name: str, value: float, bound: Bound, champion: Champion | None) -> Iterator[str]:
    if bound.max is not None and value > bound.max:
        yield f"{name} {value} is above its bound, max {bound.max}"
    if bound.min is not None and value < bound.min:
        yield f"{name} {value} is below its bound, min {bound.min}"
    if champion is None or bound.max_regression is None or name not in champion.metrics:
        return
    theirs = champion.metrics[name]
    regression = value - theirs if bound.max is not None else theirs - value
    if regression > bound.max_regression:
        yield (
            f"{name} {value} is worse than {theirs}, champion version {champion.version}'s, "
            f"by more than max_regression {bound.max_regression}"
        )


def _reference_models(candidate: EvaluationReport, verdicts: Mapping[str, Verdict | None]) -> Iterator[Finding]:
    for lab, digest in sorted(candidate.reference_models.items()):
        verdict = verdicts.get(lab)
        if verdict is None or not verdict.allows:
            said = "that no gate has judged" if verdict is None else f"of which its own gate says {verdict}"
            yield Finding(Verdict.INSUFFICIENT, f"measured with a model of {lab} ({digest[:12]}) {said}")


def _notes(candidate: EvaluationReport, champion: Champion | None, needed_profile: str | None) -> Iterator[Finding]:
    provenance = candidate.provenance
    if needed_profile not in (None, provenance.data_profile):
        yield Finding(
            Verdict.INSUFFICIENT, f"measured on the {provenance.data_profile} data, the gate asks for {needed_profile}"
        )
    if champion is None:
        yield Finding(Verdict.PASS, "there is no champion yet")
    elif champion.model_digest == candidate.model_digest:
        yield Finding(Verdict.PASS, f"the candidate is the champion already (version {champion.version})")
    elif other := _not_comparable(candidate, champion):
        yield Finding(
            Verdict.PASS, f"champion version {champion.version} was measured {other}: regression is not judged"
        )


def _not_comparable(candidate: EvaluationReport, champion: Champion) -> str:
    """Why the values of both say nothing about each other; "" where they do."""
    if not champion.readable:
        return "by an older version of this code, or is not signed"
    if champion.data_version != candidate.provenance.data_version:
        return "on other data"
    if champion.reference_models != candidate.reference_models:
        return f"with another model of {', '.join(sorted({*champion.reference_models, *candidate.reference_models}))}"
    return ""

"""Whether a candidate may replace the champion: a pure decision, and the records it is written in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import Field, ValidationError

from components.bundle import Evaluation, EvaluationReport, FileName, Measured, Record
from components.config import Bound, Gate, Waiver
from components.errors import UserError
from components.files import Sha256, read_json
from components.provenance import Provenance

RecordT = TypeVar("RecordT", bound=Record)


class Verdict(StrEnum):
    PASS = "PASS"  # noqa: S105
    WAIVED = "WAIVED"
    INSUFFICIENT = "INSUFFICIENT"
    """Not measured, or on too little: says nothing against the model, and blocks it."""
    FAIL = "FAIL"

    @property
    def allows(self) -> bool:
        return self in (Verdict.PASS, Verdict.WAIVED)


WORST_FIRST = (Verdict.FAIL, Verdict.INSUFFICIENT, Verdict.WAIVED, Verdict.PASS)


class Requirement(Record):
    """One thing that an audit asked of a model, and the answer. A waiver calls it `audit.<name>`."""

    name: str
    verdict: Verdict
    reason: str


class AuditFindings(Evaluation):
    """What a lab's audit found. details: the lab's own record of it (JSON-able)."""

    requirements: tuple[Requirement, ...] = Field(min_length=1)
    details: dict[str, Any]


class Champion(Record):
    """The registered version that a candidate is compared with, and what was measured of it."""

    version: str
    model_digest: str
    data_version: str
    metrics: dict[str, float]
    instruments: dict[str, Sha256] = Field(default_factory=dict)


class ChampionSeen(Record):
    """Which champion a decision was made against."""

    version: str
    model_digest: str


class AuditReport(EvaluationReport):
    """audit.json: an audit, of which model it speaks, and what it read.

    serve is the evaluation's: the audit judges the graph and the threshold that would be served.
    champion: whom the candidate was compared with.  files: the reports beside audit.json, by name.
    """

    schema_version: Literal[1] = 1
    verdict: Verdict
    requirements: tuple[Requirement, ...]
    champion: ChampionSeen | None
    files: dict[FileName, Sha256]
    details: dict[str, Any]

    @classmethod
    def of_audit(
        cls, evaluation: EvaluationReport, audit: AuditFindings, champion: ChampionSeen | None, files: dict[str, str]
    ) -> AuditReport:
        return cls(
            lab=evaluation.lab,
            model_digest=evaluation.model_digest,
            provenance=evaluation.provenance,
            instruments=evaluation.instruments,
            verdict=min((found.verdict for found in audit.requirements), key=WORST_FIRST.index),
            champion=champion,
            files=files,
            **{**audit.model_dump(), "serve": evaluation.serve},
        )


class Decision(Record):
    """decision.json. reasons: a line for every metric, worst first. waived_until: last day of a WAIVED verdict.

    audit: sha256 of the audit.json that was read, None for a lab that is not audited.
    instruments: digests of the other labs' models that the candidate was measured with.
    """

    lab: str
    verdict: Verdict
    reasons: tuple[str, ...]
    waived_until: date | None
    model_digest: str
    provenance: Provenance
    champion: ChampionSeen | None
    metrics: dict[str, Measured]
    audit: Sha256 | None = None
    instruments: dict[str, Sha256] = Field(default_factory=dict)


class Promotion(Record):
    """promotion.json, of the step and in the registered bundle.

    The step's names the version and neither run nor time, so that it is the same however often it is made. The
    registered one, written before there is a version, names the MLflow run that holds it and when that was.
    """

    lab: str
    promoted: bool
    verdict: Verdict
    reasons: tuple[str, ...]
    model_digest: str
    version: str | None = None
    mlflow_run: str | None = None
    promoted_at: str | None = None

    @classmethod
    def of(cls, decision: Decision, **details: str | None) -> Promotion:
        return cls(
            lab=decision.lab,
            promoted=decision.verdict.allows,
            verdict=decision.verdict,
            reasons=decision.reasons,
            model_digest=decision.model_digest,
            **details,
        )


def decide(
    candidate: EvaluationReport,
    champion: Champion | None,
    gates: Gate,
    today: date,
    requirements: tuple[Requirement, ...] = (),
    instruments: Mapping[str, Verdict | None] | None = None,
) -> Decision:
    """Judges every gated metric: its bound, and its distance to the champion's value where both saw the same
    data and were measured with the same instruments.

    requirements: an audit's answers, which count like metrics.
    instruments: what their own gates said of the models that the candidate was measured with, by lab; None where none
    did. What was measured with one that did not pass is INSUFFICIENT.
    FAIL when any metric fails, else INSUFFICIENT when any was not measured well enough, else WAIVED when a waiver
    was needed, else PASS. A metric that is not a number fails, and no waiver helps it.
    """
    comparable = champion if champion is not None and not _not_comparable(candidate, champion) else None
    findings = [
        _judge(name, bound, candidate, comparable, gates.waivers, today) for name, bound in gates.metrics.items()
    ]
    findings += [_audited(requirement, gates.waivers, today) for requirement in requirements]
    findings += _instruments(candidate, instruments or {})
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
        instruments=candidate.instruments,
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


def _instruments(candidate: EvaluationReport, verdicts: Mapping[str, Verdict | None]) -> Iterator[Finding]:
    for lab, digest in sorted(candidate.instruments.items()):
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
    if champion.data_version != candidate.provenance.data_version:
        return "on other data"
    if champion.instruments != candidate.instruments:
        return f"with another model of {', '.join(sorted({*champion.instruments, *candidate.instruments}))}"
    return ""


def read_record(path: Path, kind: type[RecordT]) -> RecordT:
    """Reads evaluation.json and the like. Raises UserError naming the file and the first wrong key."""
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}; make it again") from None

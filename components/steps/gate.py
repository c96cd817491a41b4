"""Decide whether the candidate may replace the champion, and write the decision down."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from components.config import LabParams
from components.errors import BlockedError, UserError
from components.files import output_folder, sha256_file, write_json, write_text
from components.labs import Lab
from components.promotion import decide
from components.records import AuditReport, Champion, Decision, EvaluationReport, Verdict, read_record
from components.tracking.registry import champion, verdict_of

log = logging.getLogger(__name__)

VERDICT = "verdict.json"
"""The decision without its reasons, which name the champion: labs that measure with this model wait for it."""


def gate(
    lab: Lab,
    params: LabParams,
    evaluation: Path,
    out: Path,
    audit: Path | None = None,
    require_pass: bool = False,
    reference_models: Mapping[str, Path] | None = None,
) -> Decision:
    """Judges evaluation.json (and audit.json) by the lab's `gate` and writes `out`: decision.json, decision.md.

    reference_models: where the gates of the labs that the candidate is measured with write theirs, where they ran here.
    A blocked candidate is a result: it is logged loudly and returned. Raises BlockedError (exit code 3) instead where
    `require_pass`, after writing; UserError when evaluation and audit speak of different models.
    """
    decision = judge(lab, params, evaluation, audit, reference_models)
    with output_folder(out) as folder:
        write_json(folder / "decision.json", decision.model_dump(mode="json"))
        write_text(folder / "decision.md", _markdown(decision))
        write_json(folder / VERDICT, {"model_digest": decision.model_digest, "verdict": decision.verdict})
    summary = f"{lab.name}: {decision.verdict}: {'; '.join(decision.reasons)}"
    if decision.verdict.allows:
        log.info(summary)
        return decision
    log.warning("BLOCKED %s", summary)
    if require_pass:
        raise BlockedError(f"blocked {summary}; see {out / 'decision.md'}")
    return decision


def judge(
    lab: Lab,
    params: LabParams,
    evaluation: Path,
    audit: Path | None = None,
    reference_models: Mapping[str, Path] | None = None,
) -> Decision:
    """What evaluation.json (and audit.json) come to today, beside the champion that there is now; see `gate`."""
    candidate = read_record(evaluation / "evaluation.json", EvaluationReport)
    against, today = champion(lab.name), datetime.now(UTC).date()
    verdicts = {
        name: _verdict(name, digest, (reference_models or {}).get(name))
        for name, digest in candidate.reference_models.items()
    }
    read = {"evaluation": sha256_file(evaluation / "evaluation.json")}
    if not lab.audited:
        decision = decide(candidate, against, params.gate, today, reference_models=verdicts)
        return decision.model_copy(update=read)
    if audit is None:
        raise UserError(f"{lab.name} is gated by its audit too: run `python -m components audit {lab.name}`")
    report = _audit_of(candidate, audit / "audit.json", against)
    measured = _with_metrics(candidate, report)
    decision = decide(measured, against, params.gate, today, report.requirements, verdicts)
    return decision.model_copy(update={**read, "audit": sha256_file(audit / "audit.json")})


def _verdict(lab: str, digest: str, decided: Path | None) -> Verdict | None:
    """What was decided of that very model: here, or when it was promoted; None where it never was."""
    path = decided / "decision.json" if decided else None
    if path is not None and path.exists():
        decision = read_record(path, Decision)
        if decision.model_digest == digest:
            return decision.verdict
    return verdict_of(lab, digest)


def _audit_of(candidate: EvaluationReport, path: Path, champion: Champion | None) -> AuditReport:
    """The audit, once it is known to be of this candidate, as it would be served, against this champion.

    Where there is no champion, as in a clone, an audit beside another one counts: it asked for more.
    """
    report = read_record(path, AuditReport)
    if report.model_digest != candidate.model_digest or report.serve != candidate.serve:
        raise UserError(f"{path} and the evaluation speak of different models or thresholds: run both steps again")
    seen = report.champion.model_digest if report.champion else None
    now = champion.model_digest if champion else None
    if now not in (None, seen, candidate.model_digest):
        raise UserError(f"{path} was made beside another champion than there is now: run audit again")
    return report


def _with_metrics(candidate: EvaluationReport, report: AuditReport) -> EvaluationReport:
    """Both reports' metrics. Raises UserError where both use one name: it would mean two things."""
    if both := sorted(candidate.metrics.keys() & report.metrics.keys()):
        raise UserError(f"{candidate.lab}: evaluation and audit both measure {', '.join(both)}: give one another name")
    return candidate.model_copy(
        update={
            "metrics": {**candidate.metrics, **report.metrics},
            "counts": {**candidate.counts, **report.counts},
        }
    )


def _markdown(decision: Decision) -> str:
    seen = f"version {decision.champion.version}" if decision.champion else "none"
    lines = [
        f"# {decision.lab}: {decision.verdict}",
        "",
        *(f"- {reason}" for reason in decision.reasons),
        "",
        f"Model {decision.model_digest[:12]}, data {decision.provenance.data_version[:12]} "
        f"({decision.provenance.data_profile}), commit {decision.provenance.git_commit[:12]}. Champion: {seen}.",
    ]
    return "\n".join(lines) + "\n"

"""A bundle with the records beside it, and whether it counts as promoted: asked at each start, download and rollback.

It counts where the gate allowed it, its records are those that the gate saw, no waiver has run out, and a trusted key
has signed all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar

from components.bundle import Bundle
from components.files import sha256_file
from components.labs import find
from components.records import AuditReport, Decision, EvaluationReport, Promotion, read_record
from components.signing import SignatureError, verify

RecordT = TypeVar("RecordT", EvaluationReport, Decision, Promotion, AuditReport)


@dataclass(frozen=True)
class Served:
    """A verified bundle and the records beside it; None where there is none that speaks of this very model."""

    bundle: Bundle
    evaluation: EvaluationReport | None
    decision: Decision | None
    promotion: Promotion | None
    audit: AuditReport | None
    """The audit of an audited lab; its reports lie in the bundle's folder, as it left them."""
    unpromoted: str
    """Why the bundle does not count as promoted; "" when it does."""

    @property
    def lab(self) -> str:
        return self.bundle.manifest.lab

    @property
    def variant(self) -> str:
        """The variant of the model's graphs that evaluation chose; without an evaluation the bundle's first."""
        chosen = self.evaluation.serve.get("variant") if self.evaluation else None
        variant: str = chosen or self.bundle.spec["variants"][0]
        return variant

    @property
    def version(self) -> str:
        """First twelve digits of the bundle's digest."""
        return self.bundle.digest[:12]


def read_served(folder: Path, today: date | None = None) -> Served:
    """A bundle's folder with the records in it. Raises UserError when the bundle is damaged.

    today: for waivers, by default the day it is (UTC).
    """
    bundle = Bundle.open(folder)
    evaluation = _read(bundle, "evaluation.json", EvaluationReport)
    decision = _read(bundle, "decision.json", Decision)
    promotion = _read(bundle, "promotion.json", Promotion)
    audit = _audit(bundle, decision)
    unpromoted = (
        _records_missing(bundle, evaluation, decision, promotion, audit)
        or _blocked(decision, promotion, today or datetime.now(UTC).date())
        or _unsigned(folder)
    )
    return Served(bundle, evaluation, decision, promotion, audit, unpromoted)


def _records_missing(
    bundle: Bundle,
    evaluation: EvaluationReport | None,
    decision: Decision | None,
    promotion: Promotion | None,
    audit: AuditReport | None,
) -> str:
    if evaluation is None or decision is None or promotion is None:
        return "evaluation.json, decision.json and promotion.json beside it must all speak of this very model"
    if sha256_file(bundle.folder / "evaluation.json") != decision.evaluation:
        return f"{bundle.folder / 'evaluation.json'} is not the evaluation that the decision was made from"
    if decision.audit is None and find(bundle.manifest.lab).audited:
        return "its decision was made without an audit"
    if decision.audit is not None and audit is None:
        return "its audit is missing, was changed after the decision, or speaks of another model"
    return ""


def _blocked(decision: Decision | None, promotion: Promotion | None, today: date) -> str:
    if decision is None or promotion is None or not (decision.verdict.allows and promotion.promoted):
        return f"its gate said {decision.verdict if decision else 'nothing'}"
    if decision.waived_until is not None and today > decision.waived_until:
        return f"its waiver ran out on {decision.waived_until}"
    return ""


def _unsigned(folder: Path) -> str:
    try:
        verify(folder)
    except SignatureError as error:
        return str(error)
    return ""


def _audit(bundle: Bundle, decision: Decision | None) -> AuditReport | None:
    """The audit that the decision was made from, if it and all its reports are as they were then."""
    path = bundle.folder / "audit.json"
    if decision is None or not path.is_file() or sha256_file(path) != decision.audit:
        return None
    report = _read(bundle, "audit.json", AuditReport)
    for name, sha256 in (report.files if report else {}).items():
        file = bundle.folder / name
        if not file.is_file() or sha256_file(file) != sha256:
            return None
    return report


def _read(bundle: Bundle, name: str, kind: type[RecordT]) -> RecordT | None:
    path = bundle.folder / name
    record = read_record(path, kind) if path.exists() else None
    return record if record and record.model_digest == bundle.digest else None

"""What the audit says of the very model that answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from components.promoted import Served
from components.records import Verdict
from serving.faces.schemas import AuditAnswer, AuditedOrigin, Standing, WorstGroup

REPORTS = ("audit.html", "card.md")


@dataclass(frozen=True)
class AuditRecords:
    """Read when the server starts, whatever becomes of the bundle's folder."""

    answer: AuditAnswer
    report: bytes
    """HTML."""
    card: bytes
    """Markdown."""


def standing(served: Served) -> Standing:
    """How the audited model stands; see AuditedOrigin.audit."""
    if served.audit is None or served.decision is None:
        return "NONE"
    if not served.audit.verdict.allows and served.decision.verdict is Verdict.WAIVED:
        return "WAIVED"  # the decision waives nothing unless it waives every failure
    return served.audit.verdict.value


def audit_records(served: Served, origin: AuditedOrigin) -> AuditRecords | None:
    """None where there is no audit of this very model."""
    audit, decision = served.audit, served.decision
    if audit is None or decision is None:
        return None
    until = decision.waived_until
    answer = AuditAnswer(
        verdict=origin.audit,
        waived_until=until.isoformat() if until else None,
        requirements=list(audit.requirements),
        decision=list(decision.reasons),
        metrics=audit.metrics,
        recall=audit.details["recall"]["value"],
        false_positive_rate=audit.details["negatives"]["all"]["value"],
        worst_group=_worst_group(audit.details),
        model=origin,
    )
    report, card = ((served.bundle.folder / name).read_bytes() for name in REPORTS)
    return AuditRecords(answer, report, card)


def _worst_group(details: dict[str, Any]) -> WorstGroup | None:
    """The worst of the groups that the audit gates, as audit.json says under `details`."""
    groups = [
        WorstGroup(
            attribute=attribute["name"],
            name=group["name"],
            recall=group["recall"]["value"],
            low=group["recall"]["low"],
            high=group["recall"]["high"],
        )
        for attribute in details.get("attributes", [])
        if attribute["gated"]
        for group in attribute["groups"]
        if group["recall"]["value"] is not None
    ]
    return min(groups, key=lambda group: group.recall, default=None)

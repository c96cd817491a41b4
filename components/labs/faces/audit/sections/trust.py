"""Other thresholds, and how far the audit itself can be trusted: simulated audits and wrong labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from components.labs.faces.audit.findings import Findings
from components.labs.faces.audit.schema import SimulatedPoint
from components.labs.faces.audit.sections.wording import rate
from components.records import Verdict
from components.report.page import note, section, table

CAUGHT = 0.8
"""Share of simulated audits that must not pass for a gap to count as caught."""
VERDICTS = tuple(map(str, (Verdict.PASS, Verdict.INSUFFICIENT, Verdict.FAIL)))


def sweep(findings: Findings) -> str:
    """The audit split at the thresholds of other false-positive rates."""
    rows = [
        (
            f"{point.target:.1%}",
            f"{point.false_positive_rate:.2%}",
            f"{point.recall:.1%}",
            f"{point.worst_group_recall:.1%}",
            *(f"{100 * gap:.1f}" for gap in point.gaps.values()),
        )
        for point in findings.details.sweep
    ]
    gaps = (f"gap by {name}, points" for name in findings.params.groups)
    head = ("false positives on validation", "in the audit", "faces found", "worst group", *gaps)
    return section(
        "At other thresholds",
        "<p>A higher threshold gives fewer false positives and finds fewer faces. The threshold in use was chosen on "
        f"validation pictures: it let {rate(findings.details.validation_false_positive_rate)} of them pass.</p>",
        table(rows, head),
    )


def trust(findings: Findings) -> str:
    """How often simulated audits pass detectors of which the truth is known, and what wrong labels would change."""
    points = findings.details.simulation
    rows = [(f"{100 * point.gap:.0f} points", *_shares(point.verdicts)) for point in points]
    noise = [
        (
            f"perceived {point.attribute}",
            f"{point.share:.0%}",
            *_shares(point.verdicts),
            f"{100 * point.gap:.1f}",
            f"{100 * point.true_gap:.1f}",
        )
        for point in findings.details.label_noise
    ]
    return section(
        "How far to trust this audit",
        f"<p>{_power(points)}</p>",
        table(rows, ("true gap", *VERDICTS)),
        note(
            "Simulated audits of detectors of which the truth is known, with groups as large as here; one group "
            f"({escape(points[0].group)}) is found less often. Only the requirements on groups count; false positives "
            "come on top."
        ),
        "<p>Labels are judgements, and some are wrong. If more of them were wrong, at random, the requirements on "
        "groups would be answered as follows; if that many are wrong now, the last column is the true gap:</p>",
        table(noise, ("", "wrong labels", *VERDICTS, "gap measured then", "true gap if so now")),
    )


def _shares(verdicts: Mapping[str, float]) -> list[str]:
    return [f"{verdicts[verdict]:.0%}" for verdict in VERDICTS]


def _power(points: Sequence[SimulatedPoint]) -> str:
    """How often a fair detector passes, and the smallest simulated gap from which on most audits don't pass."""
    fair = points[0].verdicts[str(Verdict.PASS)]
    caught = next((point.gap for point in points[1:] if point.verdicts[str(Verdict.PASS)] <= 1 - CAUGHT), None)
    failed = next((point.gap for point in points[1:] if point.verdicts[str(Verdict.FAIL)] >= CAUGHT), None)
    small = "None of the simulated gaps" if caught is None else f"A true gap of {100 * caught:.0f} points"
    large = "none of them" if failed is None else f"one of {100 * failed:.0f} points"
    return (
        f"With so many pictures, a perfectly fair detector of this recall passes {fair:.0%} of such audits. "
        f"{small} is stopped by at least {CAUGHT:.0%} of them; {large} ends in FAIL as often."
    )

"""audit.html: the audit, for readers who do not train models."""

from __future__ import annotations

from html import escape
from pathlib import Path

from components.files import write_text
from components.labs.faces.audit.findings import Findings
from components.labs.faces.audit.sections.comparison import champion, latent
from components.labs.faces.audit.sections.groups import everything, gaps, groups
from components.labs.faces.audit.sections.mistakes import negatives, pictures
from components.labs.faces.audit.sections.trust import sweep, trust
from components.records import Verdict
from components.report.charts import STYLE
from components.report.model import about
from components.report.page import note, page, section, table

MEANING = {
    Verdict.PASS: "The detector was shown to meet every requirement below.",
    Verdict.INSUFFICIENT: "One of the requirements below could be neither shown nor refuted on these pictures. "
    "The detector is not served until it is shown.",
    Verdict.FAIL: "The detector was measured to miss one of the requirements below. It is not served.",
}
STARTER = (
    "<p><strong>Made from the small starter data:</strong> its faces carry no labels, so that nothing can be said "
    "about groups.</p>"
)


def write_report(path: Path, findings: Findings) -> None:
    sections = (verdict, groups, gaps, negatives, pictures, champion, latent, sweep, trust, everything, audited)
    content = [section(findings) for section in sections]
    write_text(path, page(f"Audit of the face detector: {findings.verdict}", content, STYLE))


def verdict(findings: Findings) -> str:
    """The verdict, what it means, and the answer to each requirement."""
    found, made = findings.verdict, findings.candidate.bundle.manifest.provenance
    details = findings.details
    warning = "" if made.data_profile == "course" else STARTER
    rows = [
        (f'<span class="{answer.verdict}">{answer.verdict}</span>', escape(answer.reason))
        for answer in findings.requirements
    ]
    return (
        f'<div class="verdict {found}"><p class="{found}"><strong>{found}</strong></p><p>{MEANING[found]}</p>'
        f"{warning}</div>"
        "<p>This audit asks whether faces are found equally well, whoever they belong to. It measures "
        f"{details.recall.of:,} faces and {details.negatives.all.of:,} picture cut-outs without one, none of which the "
        "detector has seen before, at the threshold that it is served with.</p>"
        + section("Requirements", table(rows))
        + note(
            f"The range after each measured value holds the true one with {details.confidence:.0%} confidence: the "
            "fewer pictures, the wider it is. Groups are <em>perceived</em>: people who looked at the pictures chose "
            "among given words for race, gender and age. They are not what anybody said of themselves."
        )
    )


def audited(findings: Findings) -> str:
    """Which model, data and threshold the audit speaks of."""
    serve = findings.candidate.evaluation.serve
    threshold = f"{findings.details.threshold:.4f} (of the logit; above it is a face)"
    rows = about(
        findings.candidate.bundle.manifest,
        str(serve.get("variant", "the bundle's first")),
        threshold=threshold,
    )
    return section("What was audited", rows, note("All numbers: audit.json, scores.csv."))

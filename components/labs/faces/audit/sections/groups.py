"""Recall of perceived groups: charts with intervals, gaps between groups, and the table of every group."""

from __future__ import annotations

from html import escape

from components.labs.faces.audit.findings import Findings
from components.labs.faces.audit.schema import Attribute
from components.labs.faces.audit.sections.wording import estimate, rate, share
from components.report.charts import Line, Row, intervals
from components.report.page import note, section, table


def groups(findings: Findings) -> str:
    """A chart for each attribute, and one for the intersection of the gated ones."""
    details, params = findings.details, findings.params
    crossed = " x ".join(params.groups)
    single = [found for found in details.attributes if " x " not in found.name]
    charted = [*single, *(found for found in details.attributes if found.name == crossed)]
    return section(
        "Recall by group",
        f"<p>Recall is the share of faces that are found: {rate(details.recall)} over all groups. A dot is the "
        "measured value, the bar holds the true one. Where bars overlap widely, a difference may be chance. "
        f"The whole bar of every group with a requirement must lie right of {params.min_recall:.0%}.</p>",
        *(_chart(found, findings) for found in charted),
    )


def _chart(attribute: Attribute, findings: Findings) -> str:
    rows = [
        Row(
            group.name,
            group.recall.value,
            group.recall.low,
            group.recall.high,
            f"{share(group.recall.value)} of {group.recall.of}{' (few)' if group.small else ''}",
            group.small,
        )
        for group in attribute.groups
    ]
    lines = [Line(findings.details.recall.value or 0.0, "all")]
    if attribute.gated:
        lines.append(Line(findings.params.min_recall, "required", bound=True))
    about = "required" if attribute.gated else "reported, too small to require"
    title = f"By perceived {attribute.name.replace(' x ', ' and ')} <span class=note>({about})</span>"
    low = [group for group in attribute.groups if group.below_others is not None and group.below_others < 0.05]
    names = ", ".join(f"{escape(group.name)} (p = {group.below_others:.2g})" for group in low)
    stand_out = (
        f"Found less often than the others, beyond what chance explains: {names}"
        if low
        else "No group is found less often than the others beyond what chance explains"
    )
    return f"<h3>{title}</h3>{intervals(rows, lines)}{note(f'{stand_out} (Holm-corrected).')}"


def gaps(findings: Findings) -> str:
    """The gap of each attribute beside what chance alone would show."""
    rows = []
    for attribute in findings.details.attributes:
        gap = attribute.gap
        if gap is None or gap.value is None:
            rows.append((f"perceived {attribute.name}", "too few faces", "", "", "", ""))
            continue
        ratio = attribute.disparities["max_to_geometric_mean"]
        rows.append(
            (
                f"perceived {attribute.name}" + (" (required)" if attribute.gated else ""),
                f"{100 * gap.value:.1f}",
                f"{100 * gap.low:.1f} to {100 * gap.high:.1f}",
                f"{100 * gap.chance_mean:.1f}, rarely above {100 * gap.chance_high:.1f}",
                f"{gap.p_value_corrected:.2g}",
                f"{ratio.value:.1f} ({ratio.low:.1f} to {ratio.high:.1f})",
            )
        )
    head = ("", "gap, points", "the true gap", "by chance alone", "p", "worst miss rate / typical one")
    return section(
        "Gaps between groups",
        "<p>The gap is the recall of the best group less that of the worst. It is never zero: even if all groups were "
        "found equally well, chance sets some group highest and some lowest. So beside it stands what chance alone "
        "would show, from permuted labels.</p>",
        table(rows, head),
        note(
            f"Gaps above {100 * findings.params.max_gap:.0f} points are not accepted. Cells with few faces are left "
            "out. p: how often chance shows as much, Holm-corrected over these rows."
        ),
    )


def everything(findings: Findings) -> str:
    """Every group and intersection, folded away."""
    head = ("found", "recall", "ROC AUC", "calibration error", "Brier score", "")
    tables = []
    for attribute in findings.details.attributes:
        rows = [
            (
                escape(group.name),
                f"{group.recall.count} / {group.recall.of}",
                rate(group.recall),
                estimate(group.roc_auc),
                "" if group.calibration_error is None else f"{group.calibration_error:.4f}",
                "" if group.brier_score is None else f"{group.brier_score:.4f}",
                "few" if group.small else "",
            )
            for group in attribute.groups
        ]
        tables.append(f"<h3>Perceived {attribute.name}</h3>{table(rows, (attribute.name, *head))}")
    details = findings.details
    return section(
        "All groups",
        "<details><summary>Every group and intersection</summary><p>ROC AUC: how often a face of the group is ranked "
        "above a cut-out without one. Calibration: how far stated probabilities are from what happens (all faces: "
        f"error {estimate(details.calibration_error)}, Brier score {details.brier_score:.4f}, ROC AUC "
        f"{estimate(details.roc_auc)}).</p>{''.join(tables)}</details>",
    )

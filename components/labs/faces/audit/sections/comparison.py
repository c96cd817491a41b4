"""The candidate beside the champion, and rare against common faces by the model's own latent features."""

from __future__ import annotations

from components.labs.faces.audit.findings import Findings
from components.labs.faces.audit.sections.wording import points, rate
from components.report.charts import Line, Row, curves, intervals
from components.report.page import figure, image, note, section, table


def champion(findings: Findings) -> str:
    """Recall less the champion's, by group, on the same faces."""
    title = "Compared with the model in use"
    if findings.champion is None:
        return section(
            title, "<p>There is none to compare with (none yet, the same one, or one made from other data).</p>"
        )
    rows = [
        Row(
            pair.name,
            pair.difference.value,
            pair.difference.low,
            pair.difference.high,
            f"{points(pair.difference.value)} (+{pair.only_candidate} / -{pair.only_champion} faces)",
        )
        for pair in findings.details.paired
    ]
    limit = -findings.params.max_loss
    return section(
        title,
        f"<p>Recall less that of model <code>{findings.champion.bundle.digest[:12]}</code> on the same faces, "
        f"in points. No bar may lie wholly left of {points(limit)}.</p>",
        intervals(rows, [Line(0.0, "equal"), Line(limit, "limit", bound=True)], ""),
    )


def latent(findings: Findings) -> str:
    """Recall of faces that the encoder finds rare against common ones, without any label."""
    found, title = findings.details.latent, "Without labels"
    if found is None:
        return section(title, "<p>This model has no encoder that could say which faces are rare.</p>")
    tails = [
        (
            name,
            rate(tail.common),
            rate(tail.rare),
            f"{points(tail.difference.value)} ({points(tail.difference.low)} to {points(tail.difference.high)})",
        )
        for name, tail in found.by_weight.items()
    ]
    recalls = {name: [tenth.value or 0.0 for tenth in tail.deciles] for name, tail in found.by_weight.items()}
    places = [(index + 1) / 10 for index in range(10)]
    uneven = [feature for feature in found.features if feature.p_value_corrected < 0.05]
    named = ", ".join(f"{feature.index} ({100 * feature.gap:.1f} points)" for feature in uneven)
    features = (
        f"Recall differs along latent features {named}"
        if uneven
        else "No single latent feature divides the faces into found and missed beyond what chance explains"
    )
    return section(
        title,
        "<p>The encoder describes every face by numbers, and knows which values were rare in training: unusual "
        "poses, light, hats, skin. This compares the tenth of the faces that it finds rarest with the tenth that it "
        "finds most common:</p>",
        table(tails, ("", "common tenth found", "rare tenth found", "difference, points")),
        curves(places, recalls, "faces from common to rare, % of them"),
        note(f"{features}."),
        _learned(findings),
    )


def _learned(findings: Findings) -> str:
    figures = [figure(sheet.caption, image(sheet.address, sheet.caption)) for sheet in findings.learned]
    return f"<h3>What it has learned of faces</h3>{''.join(figures)}" if figures else ""

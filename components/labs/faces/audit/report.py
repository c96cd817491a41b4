"""audit.html: the audit, told to somebody who does not train models. It loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from components.bundle import Candidate
from components.files import write_text
from components.labs.faces.audit import charts
from components.labs.faces.audit.charts import Line, Row
from components.labs.faces.audit.params import Audit
from components.labs.faces.audit.pictures import Picture, Worst
from components.labs.faces.audit.schema import Attribute, Details, Estimate, Rate, SimulatedPoint
from components.records import Requirement, Verdict

CAUGHT = 0.8
"""Share of simulated audits that must not pass for a gap to count as caught."""
CONTEXTS = 8
"""Kinds of pictures shown with their false positives."""

MEANING = {
    Verdict.PASS: "For everything that is asked below, the detector was shown to be good enough.",
    Verdict.INSUFFICIENT: "Something that is asked below could not be shown, one way or the other, on these pictures. "
    "The detector is not served until it can.",
    Verdict.FAIL: "The detector was measured to be worse than what is asked below. It is not served.",
}
STYLE = """
:root { color-scheme: light dark; --pass: #1a7f4b; --wait: #b7791f; --fail: #c53030; --mark: #2b6cb0 }
@media (prefers-color-scheme: dark) { :root { --pass: #68d391; --wait: #f6ad55; --fail: #fc8181; --mark: #63b3ed } }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem } table { border-collapse: collapse; margin: 1rem 0 } .wide { overflow-x: auto }
td:first-child { white-space: nowrap }
td, th { padding: .25rem .8rem; border-bottom: 1px solid #8884; text-align: left; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.verdict { border: 3px solid; border-radius: .6rem; padding: .2rem 1.2rem; margin: 1.5rem 0 }
.verdict strong { font-size: 2.4rem } .verdict p:not(:first-child) { color: CanvasText }
.PASS { color: var(--pass) } .INSUFFICIENT, .WAIVED { color: var(--wait) } .FAIL { color: var(--fail) }
td.PASS, td.INSUFFICIENT, td.FAIL { font-weight: 700 } .note { opacity: .75; font-size: .92rem }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: .8rem; margin: 1rem 0 }
.pictures figure { margin: 0 } .pictures img { width: 100%; image-rendering: auto; border-radius: .4rem }
.sheets figure { margin: 1rem 0 } .sheets img { max-width: 100%; border-radius: .4rem }
figcaption { font-size: .8rem; line-height: 1.3 } summary { cursor: pointer; font-weight: 600; margin: 1rem 0 }
"""


@dataclass(frozen=True)
class Findings:
    """All that the reports tell."""

    candidate: Candidate
    champion: Candidate | None
    details: Details
    requirements: tuple[Requirement, ...]
    """Worst first."""
    params: Audit
    pictures: Worst
    learned: tuple[Picture, ...] = ()
    """Sheets of a model with latent features."""

    @property
    def verdict(self) -> Verdict:
        return self.requirements[0].verdict


def write_report(path: Path, findings: Findings) -> None:
    sections = (
        _verdict,
        _groups,
        _gaps,
        _negatives,
        _pictures,
        _champion,
        _latent,
        _sweep,
        _trust,
        _everything,
        _about,
    )
    body = "".join(section(findings) for section in sections)
    write_text(
        path,
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        f"<title>The face detector, audited: {findings.verdict}</title><style>{STYLE}{charts.STYLE}</style></head>\n"
        f"<body><h1>The face detector, audited</h1>\n{body}</body></html>\n",
    )


def _verdict(findings: Findings) -> str:
    verdict, made = findings.verdict, findings.candidate.bundle.manifest.provenance
    starter = made.data_profile != "course"
    warning = (
        "<p><strong>Made from the small starter data:</strong> its faces carry no labels, so that nothing can be said "
        "about groups.</p>"
    )
    rows = [(str(found.verdict), escape(found.reason)) for found in findings.requirements]
    return (
        f'<div class="verdict {verdict}"><p class="{verdict}"><strong>{verdict}</strong></p><p>{MEANING[verdict]}</p>'
        f"{warning if starter else ''}</div>"
        "<p>The question of this audit: is a face in a picture found equally well, whoever it belongs to? It is asked "
        f"of {findings.details.recall.of:,} faces and {findings.details.negatives.all.of:,} picture cut-outs without "
        "one, none of which the detector has seen before, at the threshold that it is served with.</p>"
        f"<h2>What was asked, and the answers</h2>{_table((), rows, prose=True)}"
        f"<p class=note>Behind each measured value stands where the true one lies, with {_sure(findings)} confidence: "
        "fewer pictures, wider. Groups are <em>perceived</em>: people who looked at the pictures chose among given "
        "words for race, gender and age. They are not what anybody said of themselves.</p>"
    )


def _groups(findings: Findings) -> str:
    details, params = findings.details, findings.params
    charted = "".join(_attribute(found, findings) for found in details.attributes if " x " not in found.name)
    crossed = " x ".join(params.groups)
    cells = "".join(_attribute(found, findings) for found in details.attributes if found.name == crossed)
    return (
        "<h2>Who is found, who is missed</h2>"
        f"<p>Recall is the share of faces that are found: {_rate(details.recall)} over all groups. A dot is what was "
        "measured, the bar is where the true value lies. Where bars overlap widely, a difference may well be chance. "
        f"The whole bar of every group that is asked for must lie right of {params.min_recall:.0%}.</p>{charted}{cells}"
    )


def _attribute(attribute: Attribute, findings: Findings) -> str:
    rows = [
        Row(
            group.name,
            group.recall.value,
            group.recall.low,
            group.recall.high,
            f"{_share(group.recall.value)} of {group.recall.of}{' (few)' if group.small else ''}",
            group.small,
        )
        for group in attribute.groups
    ]
    lines = [Line(findings.details.recall.value or 0.0, "all")]
    if attribute.gated:
        lines.append(Line(findings.params.min_recall, "asked for", bound=True))
    about = "asked for" if attribute.gated else "reported, too small to ask for"
    title = f"By perceived {attribute.name.replace(' x ', ' and ')} <span class=note>({about})</span>"
    low = [group for group in attribute.groups if group.below_others is not None and group.below_others < 0.05]
    stand_out = (
        "Found less often than the others, beyond what chance explains: "
        + ", ".join(f"{escape(group.name)} (p = {group.below_others:.2g})" for group in low)
        if low
        else "No group is found less often than the others beyond what chance explains"
    )
    return f"<h3>{title}</h3>{charts.intervals(rows, lines)}<p class=note>{stand_out} (Holm-corrected).</p>"


def _gaps(findings: Findings) -> str:
    rows = []
    for attribute in findings.details.attributes:
        gap = attribute.gap
        if gap is None or gap.value is None:
            rows.append((f"perceived {attribute.name}", "too few faces", "", "", "", ""))
            continue
        name = f"perceived {attribute.name}" + (" (asked for)" if attribute.gated else "")
        ratio = attribute.disparities["max_to_geometric_mean"]
        rows.append(
            (
                name,
                f"{100 * gap.value:.1f}",
                f"{100 * gap.low:.1f} to {100 * gap.high:.1f}",
                f"{100 * gap.chance_mean:.1f}, rarely above {100 * gap.chance_high:.1f}",
                f"{gap.p_value_corrected:.2g}",
                f"{ratio.value:.1f} ({ratio.low:.1f} to {ratio.high:.1f})",
            )
        )
    head = ("", "gap, points", "the true gap", "by chance alone", "p", "worst miss rate / typical one")
    return (
        "<h2>How far apart</h2><p>The gap is the recall of the best group less that of the worst. It is never zero: "
        "even if all groups were found equally well, the luck of the pictures sets some group highest and some lowest. "
        "So beside it stands what chance alone would show, from dealing the labels out at random.</p>"
        f"{_table(head, rows)}<p class=note>Gaps above {100 * findings.params.max_gap:.0f} points are not accepted. "
        "Cells with few faces are left out. p: how often chance shows as much, Holm-corrected over these rows.</p>"
    )


def _negatives(findings: Findings) -> str:
    found = findings.details.negatives
    named = list(found.contexts.items())[:CONTEXTS]
    rows = [
        Row("all", found.all.value, found.all.low, found.all.high, _of(found.all)),
        Row("hard ones", found.hard.value, found.hard.low, found.hard.high, _of(found.hard)),
        Row("the others", found.other.value, found.other.low, found.other.high, _of(found.other)),
    ]
    lines = [Line(findings.params.max_false_positive_rate, "allowed for all", bound=True)]
    contexts = [(escape(name), _of(rate), f"{_share(rate.low)} to {_share(rate.high)}") for name, rate in named]
    return (
        "<h2>Faces seen where there are none</h2><p>Hard ones are cut-outs of photographs in which another face "
        "detector once saw a face: animals, statues, drawings. The bars take into account that "
        f"the cut-outs come from only {found.photographs} photographs.</p>{charts.intervals(rows, lines)}"
        + (
            f"<p>Most often in pictures of:</p>{_table(('', 'false positives', 'true rate'), contexts)}"
            if named
            else ""
        )
    )


def _pictures(findings: Findings) -> str:
    shown = findings.pictures
    return (
        "<h2>The worst mistakes</h2><p>Faces that are missed most clearly, with how they are perceived and how likely "
        f"a face the detector finds them:</p>{_gallery(shown.misses)}<p>Cut-outs without a face that are most clearly "
        f"taken for one:</p>{_gallery(shown.false_positives)}<p class=note>Pictures: FairFace (CC BY 4.0) and "
        "Caltech-101, or scikit-image's in the starter data.</p>"
    )


def _gallery(pictures: Sequence[Picture]) -> str:
    if not pictures:
        return "<p>None.</p>"
    items = (
        f'<figure><img src="{picture.address}" alt="{escape(picture.caption)}"><figcaption>{escape(picture.caption)}'
        "</figcaption></figure>"
        for picture in pictures
    )
    return f'<div class="pictures">{"".join(items)}</div>'


def _champion(findings: Findings) -> str:
    details, title = findings.details, "<h2>Beside the model in use</h2>"
    if findings.champion is None:
        return f"{title}<p>There is none to compare with (none yet, the same one, or one made from other data).</p>"
    rows = [
        Row(
            pair.name,
            pair.difference.value,
            pair.difference.low,
            pair.difference.high,
            f"{_points(pair.difference.value)} (+{pair.only_candidate} / -{pair.only_champion} faces)",
        )
        for pair in details.paired
    ]
    lines = [Line(0.0, "equal"), Line(-findings.params.max_loss, "limit", bound=True)]
    return (
        f"{title}<p>Recall less that of model <code>{findings.champion.bundle.digest[:12]}</code> on the same faces, "
        f"in points. No bar may lie wholly left of {_points(-findings.params.max_loss)}.</p>"
        f"{charts.intervals(rows, lines, '')}"
    )


def _latent(findings: Findings) -> str:
    latent, title = findings.details.latent, "<h2>Without labels</h2>"
    if latent is None:
        return f"{title}<p>This model has no encoder that could say which faces are rare.</p>"
    tails = [
        (
            name,
            _rate(tail.common),
            _rate(tail.rare),
            f"{_points(tail.difference.value)} ({_points(tail.difference.low)} to {_points(tail.difference.high)})",
        )
        for name, tail in latent.by_weight.items()
    ]
    curves = {name: [rate.value or 0.0 for rate in tail.deciles] for name, tail in latent.by_weight.items()}
    places = [(index + 1) / 10 for index in range(10)]
    uneven = [feature for feature in latent.features if feature.p_value_corrected < 0.05]
    features = (
        "Recall differs along latent features "
        + ", ".join(f"{feature.index} ({100 * feature.gap:.1f} points)" for feature in uneven)
        if uneven
        else "No single latent feature divides the faces into found and missed beyond what chance explains"
    )
    return (
        f"{title}<p>The encoder describes every face by numbers, and knows which values were rare in training: unusual "
        "poses, light, hats, skin. The tenth of the faces it finds rarest against the tenth it finds most common:</p>"
        f"{_table(('', 'common tenth found', 'rare tenth found', 'difference, points'), tails)}"
        f"{charts.curves(places, curves, 'faces from common to rare, % of them')}<p class=note>{features}.</p>"
        f"{_learned(findings.learned)}"
    )


def _learned(sheets: Sequence[Picture]) -> str:
    figures = (
        f'<figure><img src="{sheet.address}" alt="{escape(sheet.caption)}"><figcaption>{escape(sheet.caption)}'
        "</figcaption></figure>"
        for sheet in sheets
    )
    return f'<h3>What it has learned of faces</h3><div class="sheets">{"".join(figures)}</div>' if sheets else ""


def _sweep(findings: Findings) -> str:
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
    head = ("cut-outs let pass on validation", "in the audit", "faces found", "worst group", *gaps)
    return (
        "<h2>At other thresholds</h2><p>A stricter detector sees fewer faces where there are none, and misses more of "
        "those that are there. The threshold in use was chosen on other pictures, before this audit: "
        f"it let {_rate(findings.details.validation_false_positive_rate)} of them pass.</p>{_table(head, rows)}"
    )


def _trust(findings: Findings) -> str:
    points = findings.details.simulation
    rows = [
        (f"{100 * point.gap:.0f} points", *(f"{point.verdicts[str(verdict)]:.0%}" for verdict in MEANING))
        for point in points
    ]
    noise = [
        (
            f"perceived {point.attribute}",
            f"{point.share:.0%}",
            *(f"{point.verdicts[str(verdict)]:.0%}" for verdict in MEANING),
            f"{100 * point.gap:.1f}",
            f"{100 * point.true_gap:.1f}",
        )
        for point in findings.details.label_noise
    ]
    verdicts = tuple(map(str, MEANING))
    return (
        f"<h2>How far to trust this audit</h2><p>{_power(points)}</p>"
        f"{_table(('true gap', *verdicts), rows)}<p class=note>Simulated audits of detectors of which the truth is "
        f"known, with groups as large as here; one group ({escape(points[0].group)}) is found less often. Counted is "
        "what is asked of groups; false positives come on top.</p>"
        "<p>Labels are judgements, and some are wrong. If more of them were, at random, what is asked of groups would "
        "be answered so; and if that many are wrong now, this true gap would lie behind the measured one:</p>"
        + _table(("", "wrong labels", *verdicts, "gap measured then", "true gap if so now"), noise)
    )


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


def _everything(findings: Findings) -> str:
    tables = []
    for attribute in findings.details.attributes:
        rows = [
            (
                escape(group.name),
                f"{group.recall.count} / {group.recall.of}",
                _rate(group.recall),
                _estimate(group.roc_auc),
                "" if group.calibration_error is None else f"{group.calibration_error:.4f}",
                "" if group.brier_score is None else f"{group.brier_score:.4f}",
                "few" if group.small else "",
            )
            for group in attribute.groups
        ]
        head = (attribute.name, "found", "recall", "ROC AUC", "calibration error", "Brier score", "")
        tables.append(f"<h3>Perceived {attribute.name}</h3><div class=wide>{_table(head, rows)}</div>")
    return (
        "<h2>Everything</h2><details><summary>Every group and intersection</summary><p>ROC AUC: how often a face of "
        "the group is ranked above a cut-out without one. Calibration: how far stated probabilities are from what "
        f"happens (all faces: error {_estimate(findings.details.calibration_error)}, Brier score "
        f"{findings.details.brier_score:.4f}, ROC AUC "
        f"{_estimate(findings.details.roc_auc)}).</p>{''.join(tables)}</details>"
    )


def _about(findings: Findings) -> str:
    manifest, serve = findings.candidate.bundle.manifest, findings.candidate.evaluation.serve
    made = manifest.provenance
    rows = [
        ("model digest", f"<code>{manifest.digest}</code>"),
        ("variant", escape(str(serve.get("variant", "the bundle's first")))),
        ("threshold", f"{findings.details.threshold:.4f} (on the logit; above it is a face)"),
        ("data", f"profile {escape(made.data_profile)}, version <code>{escape(made.data_version)}</code>"),
        ("code", f"commit <code>{escape(made.git_commit)}</code>{' with changes' if made.git_dirty else ''}"),
    ]
    return (
        f"<h2>What was audited</h2>{_table((), rows, prose=True)}<p class=note>All numbers: audit.json, scores.csv.</p>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], prose: bool = False) -> str:
    """Cells are HTML already; verdicts have their colour, and but for prose what begins like a number is set as one."""
    header = f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>" if any(head) else ""
    lines = ("".join(f"<td{_class(cell, prose)}>{cell}</td>" for cell in row) for row in rows)
    return f"<table>{header}{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _class(cell: str, prose: bool) -> str:
    if cell in set(Verdict):
        return f" class={cell}"
    return " class=number" if not prose and cell.lstrip("+-")[:1].isdigit() else ""


def _rate(rate: Rate) -> str:
    return f"{_share(rate.value)} ({_share(rate.low)} to {_share(rate.high)})"


def _estimate(found: Estimate) -> str:
    return "unknown" if found.value is None else f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"


def _of(rate: Rate) -> str:
    return f"{rate.count} of {rate.of}: {_share(rate.value)}"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f} %"


def _points(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:+.1f}"


def _sure(findings: Findings) -> str:
    return f"{findings.details.confidence:.0%}"

"""card.md: the model card, in the sections of Mitchell et al. 2019, with measured values only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.files import write_text
from components.labs.faces.audit.findings import Findings
from components.labs.faces.audit.schema import Attribute, Estimate, Rate

KINDS = {
    "standard": "a convolutional network that says whether a 64 x 64 picture holds a face",
    "dbvae": "a debiasing variational autoencoder (Amini et al. 2019): a convolutional network that says whether a "
    "64 x 64 picture holds a face, trained to describe faces too, and shown those more often that it finds rare",
}


def write_card(path: Path, findings: Findings) -> None:
    sections = {
        "Model details": _model(findings),
        "Intended use": _use(),
        "Factors": _factors(findings),
        "Metrics": _metrics(findings),
        "Evaluation data": _evaluation_data(findings),
        "Training data": _training_data(findings),
        "Quantitative analyses": _analyses(findings),
        "Ethical considerations": _ethics(findings),
        "Caveats and recommendations": _caveats(findings),
    }
    body = "\n".join(f"## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in sections.items())
    write_text(path, f"# Model card: face detector\n\nAudit: **{findings.verdict}**. {_warning(findings)}\n\n{body}")


def _warning(findings: Findings) -> str:
    profile = findings.candidate.bundle.manifest.provenance.data_profile
    return "" if profile == "course" else "Made from the small starter data: not the real thing."


def _model(findings: Findings) -> Iterator[str]:
    manifest = findings.candidate.bundle.manifest
    kind = str(manifest.spec.get("model", "standard"))
    yield f"- What: {KINDS.get(kind, kind)}."
    yield f"- Version: digest `{manifest.digest}`, code at commit `{manifest.provenance.git_commit}`."
    variant = findings.candidate.evaluation.serve.get("variant", "first of the bundle")
    yield f"- Run as: the variant `{variant}` in ONNX."
    yield f"- Decision: a face where the logit is above {findings.details.threshold:.4f}, chosen on validation data."
    yield "- From: the labs of MIT's course 6.S191, as a production system. Apache-2.0; questions go to the repository."


def _use() -> Iterator[str]:
    yield "- For: finding faces in photographs where a miss or a false alarm harms nobody, teaching, research on bias."
    yield "- Not for: recognising or identifying people, or guessing anything about them; surveillance; decisions about"
    yield "  people. It says where a face is and nothing else."


def _factors(findings: Findings) -> Iterator[str]:
    gated = [found.name for found in findings.details.attributes if found.gated]
    rest = [found.name for found in findings.details.attributes if not found.gated]
    yield f"- Groups that decide: perceived {', '.join(gated)}. Reported too: perceived {', '.join(rest)}."
    yield "- Groups are perceived and annotator-assigned. Skin tone is not inferred from pixels: light decides those."
    yield "- What negatives show; hard negatives, in which another detector once saw a face, apart."


def _metrics(findings: Findings) -> Iterator[str]:
    params = findings.params
    yield "- Recall per group with Wilson intervals; false-positive rate with intervals by photograph; ROC AUC;"
    yield "  calibration; the gap between groups beside what chance alone would show."
    yield f"- Asked for: recall of every gated group at least {params.min_recall:.0%} at the interval's lower end;"
    yield f"  false-positive rate at most {params.max_false_positive_rate:.1%} at its upper end; gap at most"
    yield f"  {100 * params.max_gap:.0f} points; calibration error at most {100 * params.max_calibration_error:.0f};"
    yield f"  at least {params.min_faces} faces in each gated group."


def _evaluation_data(findings: Findings) -> Iterator[str]:
    details, made = findings.details, findings.candidate.bundle.manifest.provenance
    yield f"- Data version `{made.data_version}`, profile {made.data_profile}, the split `audit`."
    yield f"- {details.recall.of} faces; {details.negatives.all.of} cut-outs of {details.negatives.photographs}"
    yield "  photographs without faces, split from training data by file and by photograph."


def _training_data(findings: Findings) -> Iterator[str]:
    made = findings.candidate.bundle.manifest.provenance
    yield "- The splits `train` and `validation` of the same data version, with parameters"
    yield f"  `{made.params_hash[:12]}` and code `{made.code_hash[:12]}`."
    yield "- Sources, labels and known dirt: the datasheet in `docs/faces.md`."


def _analyses(findings: Findings) -> Iterator[str]:
    details = findings.details
    yield "| over all | measured | interval |"
    yield "|---|---|---|"
    yield f"| recall | {_share(details.recall)} |"
    yield f"| false-positive rate | {_share(details.negatives.all)} |"
    yield f"| false-positive rate, hard negatives | {_share(details.negatives.hard)} |"
    if details.animals:
        yield f"| false-positive rate, heads of animals | {_share(details.animals.all)} |"
    auc = details.roc_auc
    yield f"| ROC AUC | {_value(auc)} | {auc.low:.4f} to {auc.high:.4f} |"
    error = details.calibration_error
    yield f"| calibration error | {_value(error)} | {error.low:.4f} to {error.high:.4f} |"
    yield f"| Brier score | {details.brier_score:.4f} | |"
    crossed = " x ".join(findings.params.groups)
    for attribute in details.attributes:
        if " x " not in attribute.name or attribute.name == crossed:
            yield from _attribute(attribute)


def _attribute(attribute: Attribute) -> Iterator[str]:
    yield ""
    yield f"| perceived {attribute.name} | faces | recall | interval | ROC AUC |"
    yield "|---|---|---|---|---|"
    for group in attribute.groups:
        few = " (few)" if group.small else ""
        yield f"| {group.name}{few} | {group.recall.of} | {_share(group.recall)} | {_value(group.roc_auc)} |"
    gap = attribute.gap
    if gap is not None and gap.value is not None:
        yield ""
        yield (
            f"Gap {100 * gap.value:.1f} points, the true one between {100 * gap.low:.1f} and {100 * gap.high:.1f}; "
            f"chance alone shows {100 * gap.chance_mean:.1f}."
        )


def _ethics(findings: Findings) -> Iterator[str]:
    yield "- The people in the pictures were not asked; their labels are other people's judgements, in a fixed list of"
    yield "  words that fits many people badly."
    yield "- A detector that misses some people more often shuts them out of whatever is built on it. This audit says"
    for found in findings.requirements:
        if found.name.startswith("recall_gap"):
            yield f"  - {found.verdict}: {found.reason}."


def _caveats(findings: Findings) -> Iterator[str]:
    small = [
        group.name
        for attribute in findings.details.attributes
        if " x " not in attribute.name
        for group in attribute.groups
        if group.small
    ]
    fair = findings.details.simulation[0].verdicts
    yield f"- Too few faces to say much: {', '.join(small) or 'no group of a single attribute'}."
    yield f"- A perfectly fair detector of this recall passes {fair['PASS']:.0%} of simulated audits of this size."
    yield "- Labels are noisy; the report shows what wrong ones would change."
    animals = findings.details.animals
    if animals:
        kinds = ", ".join(f"{name} {rate.count} of {rate.of}" for name, rate in animals.categories.items())
        yield f"- Of heads of animals that it has not learned from, it takes {animals.all.count} of {animals.all.of}"
        yield f"  for faces ({kinds})."
    yield "- The audit's faces are cropped and aligned: other framings, lights and cameras were not audited."
    for found in findings.requirements:
        if found.verdict != "PASS":
            yield f"- {found.verdict}: {found.reason}."


def _share(rate: Rate) -> str:
    value = "unknown" if rate.value is None else f"{rate.value:.2%}"
    return f"{value} | {rate.low:.2%} to {rate.high:.2%}"


def _value(found: Estimate) -> str:
    return "unknown" if found.value is None else f"{found.value:.4f}"

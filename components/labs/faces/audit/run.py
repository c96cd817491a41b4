"""The audit of a bundle: scores every picture with the variant that would be served, and writes the reports."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from components.bundle import Bundle, Candidate
from components.datasets.faces.animal_head_reader import held_out_heads
from components.errors import UserError
from components.labs.faces.audit.analysis import Animals, Evidence, analyse
from components.labs.faces.audit.card import write_card
from components.labs.faces.audit.criteria import requirements
from components.labs.faces.audit.findings import Findings
from components.labs.faces.audit.latent import Latents
from components.labs.faces.audit.params import Audit
from components.labs.faces.audit.pictures import learned, worst
from components.labs.faces.audit.report import write_report
from components.labs.faces.audit.schema import Details
from components.labs.faces.audit.table import Scored, read_images, read_table
from components.records import AuditFindings
from components.report.csv_table import write_csv
from components.stats import Floats, threshold_at

log = logging.getLogger(__name__)

BATCH = 256
"""Images scored together."""


class Detector(Protocol):
    """What the audit needs of a model, of images (n, size, size, 3) uint8 RGB: logits (n,), means (n, latent_dim)."""

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]: ...

    def means(self, images: NDArray[np.uint8]) -> NDArray[np.float32]: ...


Load = Callable[[Bundle, Any], Detector]
"""Makes the detector of a bundle's variant; None is the bundle's first."""


def audit(
    candidate: Candidate, champion: Candidate | None, prepared: Path, out: Path, params: Audit, load: Load
) -> AuditFindings:
    """Audits the variant and the threshold that the evaluation chose; without one, both are chosen here.

    Writes audit.html, card.md and scores.csv into `out`. Raises UserError where a split lacks faces or negatives.
    """
    log.info("scoring the validation and the audit split")
    detector = load(candidate.bundle, candidate.evaluation.serve.get("variant"))
    held_out = candidate.bundle.spec.get("held_out", [])
    validation = _scored(detector, candidate.bundle, prepared, "validation").without(held_out)
    audited = _scored(detector, candidate.bundle, prepared, "audit")
    for name, scored in (("validation", validation), ("audit", audited)):
        if scored.table.face.all() or not scored.table.face.any():
            missing = "negatives" if scored.table.face.any() else "faces"
            raise UserError(f"{prepared} has no {name} {missing}: nothing can be audited; take more in prepare")
    evidence = Evidence(
        validation=validation,
        audit=audited,
        threshold=_threshold(candidate, validation, params),
        champion=None if champion is None else _champion_finds(champion, prepared, params, load),
        latents=_latents(detector, candidate.bundle, prepared),
        animals=_animals(detector, candidate.bundle, prepared),
    )
    details = analyse(evidence, params)
    found = requirements(details, params)
    _write_scores(out / "scores.csv", audited, evidence.threshold)
    images = read_images(prepared, "audit", candidate.bundle.spec["size"], audited.table)
    findings = Findings(
        candidate=candidate,
        champion=champion,
        details=details,
        requirements=found,
        params=params,
        pictures=worst(audited, images, evidence.threshold, params.pictures),
        learned=learned(candidate.bundle),
    )
    write_report(out / "audit.html", findings)
    write_card(out / "card.md", findings)
    metrics, counts = measured(details)
    return AuditFindings(metrics=metrics, counts=counts, requirements=found, details=details.model_dump(mode="json"))


def measured(details: Details) -> tuple[dict[str, float], dict[str, int]]:
    """Metrics and over how many items, by the names that gates use: only what evaluation does not measure.

    worst_group_recall, recall_gap: over the groups that the audit gates; left out where they are unknown.
    """
    gated = [attribute for attribute in details.attributes if attribute.gated]
    everything = details.recall.of + details.negatives.all.of
    metrics = {"calibration_error": details.calibration_error.value or 0.0, "brier_score": details.brier_score}
    counts = dict.fromkeys(metrics, everything)
    recalls = [group.recall for attribute in gated for group in attribute.groups]
    known = [(rate.value, rate.of) for rate in recalls if rate.value is not None]
    if known:
        metrics["worst_group_recall"], counts["worst_group_recall"] = min(known, key=lambda rate: rate[0])
    gaps = [attribute.gap.value for attribute in gated if attribute.gap and attribute.gap.value is not None]
    if len(gaps) == len(gated):
        metrics["recall_gap"], counts["recall_gap"] = max(gaps), details.recall.of
    return metrics, counts


def _scored(detector: Detector, bundle: Bundle, prepared: Path, split: str) -> Scored:
    table = read_table(prepared, split)
    images = read_images(prepared, split, bundle.spec["size"], table)
    return Scored(table, _in_batches(detector.logits, images))


def _in_batches(run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], images: NDArray[np.uint8]) -> Floats:
    parts = [run(np.ascontiguousarray(images[first : first + BATCH])) for first in range(0, len(images), BATCH)]
    return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)


def _threshold(judged: Candidate, validation: Scored, params: Audit) -> float:
    chosen = judged.evaluation.serve.get("threshold")
    return float(chosen) if chosen is not None else threshold_at(validation.negatives(), params.false_positive_rate)


def _champion_finds(champion: Candidate, prepared: Path, params: Audit, load: Load) -> NDArray[np.bool_]:
    """Which audit faces the champion finds, at its own threshold."""
    log.info("scoring the same pictures with the champion")
    detector = load(champion.bundle, champion.evaluation.serve.get("variant"))
    scored = _scored(detector, champion.bundle, prepared, "audit")
    validation = scored
    if champion.evaluation.serve.get("threshold") is None:
        validation = _scored(detector, champion.bundle, prepared, "validation")
        validation = validation.without(champion.bundle.spec.get("held_out", []))
    return scored.logits[scored.table.face] > _threshold(champion, validation, params)


def _latents(detector: Detector, bundle: Bundle, prepared: Path) -> Latents | None:
    """None for a model without an encoder."""
    if "encoder" not in bundle.manifest.graphs:
        return None
    means = []
    for split in ("train", "audit"):
        table = read_table(prepared, split)
        images = read_images(prepared, split, bundle.spec["size"], table)
        means.append(_in_batches(detector.means, images[table.face]))
    return Latents(*means)


def _animals(detector: Detector, bundle: Bundle, prepared: Path) -> Animals | None:
    """None where no category was held out, and without photographs."""
    held_out: list[str] = bundle.spec.get("held_out", [])
    if not held_out:
        return None
    size, side = bundle.spec["size"], bundle.spec["picture_size"]
    heads, margin = held_out_heads(prepared, held_out, side), (side - size) // 2
    middle = heads.images[:, margin : margin + size, margin : margin + size]
    return Animals(heads.category, _in_batches(detector.logits, middle)) if len(heads) else None


def _write_scores(path: Path, scored: Scored, threshold: float) -> None:
    """A row for each picture of the audit split, for whoever wants to check the audit."""
    table = scored.table
    columns: dict[str, Iterable[object]] = {"id": table.id, "photo": table.photo}
    columns |= {"face": table.face.astype(int), "hard": table.hard.astype(int)}
    columns |= {"race": table.race, "gender": table.gender, "age": table.age}
    columns |= {"logit": [f"{logit:.5g}" for logit in scored.logits]}
    write_csv(path, {**columns, "detected": (scored.logits > threshold).astype(int)})

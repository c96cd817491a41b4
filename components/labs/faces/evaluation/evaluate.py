"""Measures an exported bundle on the audit split, with the threshold that validation negatives gave."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.datasets.faces.animal_head_reader import Heads, held_out_heads
from components.datasets.faces.reader import COURSE_FACES, Split, centre, read_split
from components.labs.faces import params
from components.labs.faces.evaluation.scenes import average_precision, compose, matched
from components.labs.faces.features import references
from components.labs.faces.runtime.detection import detect
from components.labs.faces.runtime.model import FaceModel
from components.onnx.quantisation import choose_variant, quantisation_cost
from components.records import Evaluation
from components.report.csv_table import write_csv
from components.report.pictures import save_png, sheet
from components.stats import rate_above, roc_auc, threshold_at

if TYPE_CHECKING:
    from components.bundle import Bundle

log = logging.getLogger(__name__)

PICTURES_A_ROW = 10


@dataclass(frozen=True)
class Scores:
    """Logits (N,) of a variant on both splits and on the heads, and the threshold that validation negatives give."""

    validation: np.ndarray
    audit: np.ndarray
    heads: np.ndarray
    threshold: float


def evaluate(bundle: Bundle, prepared: Path, out: Path, params: params.Evaluate) -> Evaluation:
    """Measures every variant, chooses the one to serve, and finds faces in composed scenes with it.

    Writes scores_<variant>.csv, misses.png and false_positives.png into `out`. Raises UserError where a split has no
    faces or no negatives.
    """
    held_out: list[str] = bundle.spec.get("held_out", [])
    validation, audit = read_split(prepared, "validation").without(held_out), read_split(prepared, "audit")
    heads = held_out_heads(prepared, held_out, audit.images.shape[1])
    names: list[str] = bundle.spec["variants"]
    scores = {name: _scores(bundle, name, validation, audit, heads, params) for name in names}
    variants = {variant: measures(found, validation, audit, params) for variant, found in scores.items()}
    cost = quantisation_cost(variants, "recall_validation")
    served = choose_variant(variants, cost, params.max_quantisation_cost)
    metrics = variants[served] | {"quantisation_cost": cost}
    for variant, of_variant in scores.items():
        _write_scores(out / f"scores_{variant}.csv", audit, of_variant)
    _write_worst(out, audit, scores[served], params.examples)
    serve: dict[str, Any] = {"variant": served, "threshold": scores[served].threshold}
    model = FaceModel.load(bundle, served)
    found = counts(audit, params.scenes) | {"animal_false_positive_rate": len(heads)}
    course = prepared / COURSE_FACES
    if course.exists():
        known = np.load(course, allow_pickle=False)
        metrics["course_faces_recall"] = rate_above(model.logits(known), scores[served].threshold)
        found["course_faces_recall"] = len(known)
    else:
        log.warning("NO COURSE FACES in %s: they are not tried", prepared)
    if params.scenes:
        detection, threshold = measured_detection(model, scores[served].threshold, validation, audit, params)
        metrics |= detection
        serve |= {"detection": params.detection.model_dump(), "detection_threshold": threshold}
    faces = np.flatnonzero(validation.is_face)
    return Evaluation(
        metrics=metrics,
        counts=found,
        variants=variants,
        serve=serve,
        limitations=limitations(metrics, scores[served], audit, heads),
        drift_references=references(centre(validation.images[faces]), scores[served].validation[faces]),
    )


def measured_detection(
    model: FaceModel, threshold: float, validation: Split, audit: Split, params: params.Evaluate
) -> tuple[dict[str, float], float]:
    """Metrics on scenes of the audit split, and the threshold at which validation scenes have few false boxes.

    A photograph has thousands of places, so the threshold of single crops would draw boxes on most of them.
    average_precision needs no threshold; detection_recall and false_boxes (a scene) are at the returned one.
    """
    log.info("looking for faces in %d scenes of validation, and of audit images", params.scenes)
    found = {}
    for name, split in (("validation", validation), ("audit", audit)):
        scenes = compose(split, params.scenes, params.seed, params.detection.min_face)
        found[name] = scenes, [detect(model, scene.photograph, threshold, params.detection) for scene in scenes]
    wrong = np.sort([logit for logit, right in matched(*found["validation"]) if not right])[::-1]
    allowed = int(params.false_boxes * params.scenes)
    chosen = float(wrong[allowed]) if allowed < len(wrong) else threshold
    scenes, boxes = found["audit"]
    shown = [right for logit, right in matched(scenes, boxes) if logit > chosen]
    metrics = {
        "average_precision": average_precision(scenes, boxes),
        "detection_recall": sum(shown) / max(1, sum(len(scene.boxes) for scene in scenes)),
        "false_boxes": (len(shown) - sum(shown)) / len(scenes),
    }
    return metrics, chosen


def measures(scores: Scores, validation: Split, audit: Split, params: params.Evaluate) -> dict[str, float]:
    """By the names that gates use. worst_cell_recall and cell_recall_gap: over cells of perceived race and gender.

    recall and all rates are at the frozen threshold; recall_at_rate is at the threshold that the audit split's own
    negatives give.
    """
    logits, is_face = scores.audit, audit.is_face
    recalls = [rate_above(logits[rows], scores.threshold) for rows in cells(audit).values()]
    recall = rate_above(logits[is_face], scores.threshold)
    found = {
        "recall": recall,
        "false_positive_rate": rate_above(logits[~is_face], scores.threshold),
        "roc_auc": roc_auc(logits[is_face], logits[~is_face]),
        "worst_cell_recall": min(recalls, default=recall),
        "cell_recall_gap": max(recalls, default=recall) - min(recalls, default=recall),
        "recall_at_rate": rate_above(logits[is_face], threshold_at(logits[~is_face], params.false_positive_rate)),
        "recall_validation": rate_above(scores.validation[validation.is_face], scores.threshold),
    }
    if audit.is_hard.any():
        found["hard_false_positive_rate"] = rate_above(logits[audit.is_hard], scores.threshold)
    if len(scores.heads):
        found["animal_false_positive_rate"] = rate_above(scores.heads, scores.threshold)
    return found


def limitations(metrics: Mapping[str, float], scores: Scores, audit: Split, heads: Heads) -> tuple[str, ...]:
    """Limitations as sentences with the measured values, for those who use the model."""
    found = []
    missed = {name: 1 - rate_above(scores.audit[rows], scores.threshold) for name, rows in cells(audit).items()}
    worst = max(missed, key=lambda name: missed[name], default="")
    if worst:
        found.append(
            f"It misses {missed[worst]:.1%} of the faces perceived as {worst}, the group it misses most, and "
            f"{1 - metrics['recall']:.1%} of all."
        )
    found.append(f"It takes {metrics['false_positive_rate']:.1%} of cut-outs of other photographs for faces.")
    if len(heads):
        found.append(
            f"It takes {metrics['animal_false_positive_rate']:.1%} of {len(heads)} heads of animals that it has not "
            f"learned from ({', '.join(sorted(set(heads.category.tolist())))}) for faces."
        )
    if "detection_recall" in metrics:
        found.append(
            f"In whole photographs it finds {metrics['detection_recall']:.0%} of the faces, and draws "
            f"{metrics['false_boxes']:.2f} boxes a photograph where there is none."
        )
    found.append("It was judged on faces that are centred and well lit more often than the world's.")
    return tuple(found)


def cells(split: Split) -> dict[str, np.ndarray]:
    """Rows of the faces of each cell of perceived race and gender, by name; faces without labels are in none."""
    found = {}
    for race in sorted(set(split.race[split.is_face]) - {""}):
        for gender in sorted(set(split.gender[split.is_face]) - {""}):
            rows = np.flatnonzero(split.is_face & (split.race == race) & (split.gender == gender))
            if len(rows):
                found[f"{race} {gender}"] = rows
    return found


def counts(audit: Split, scenes: int) -> dict[str, int]:
    """Over how many items each metric was measured; of the groups' the smallest, and 0 where there are no labels."""
    faces, smallest = int(audit.is_face.sum()), min(map(len, cells(audit).values()), default=0)
    return {
        "recall": faces,
        "false_positive_rate": len(audit) - faces,
        "roc_auc": faces,
        "worst_cell_recall": smallest,
        "cell_recall_gap": smallest,
        "hard_false_positive_rate": int(audit.is_hard.sum()),
        "average_precision": scenes,
    }


def _scores(
    bundle: Bundle, variant: str, validation: Split, audit: Split, heads: Heads, params: params.Evaluate
) -> Scores:
    log.info("reading %d images with the %s graph", len(validation) + len(audit), variant)
    model = FaceModel.load(bundle, variant)
    logits = model.logits(centre(validation.images))
    threshold = threshold_at(logits[~validation.is_face], params.false_positive_rate)
    return Scores(logits, model.logits(centre(audit.images)), model.logits(centre(heads.images)), threshold)


def _write_scores(path: Path, audit: Split, scores: Scores) -> None:
    """A row for each audit image: what it is, and its logit."""
    columns = {"photo": audit.photo, "face": audit.is_face.astype(int), "hard": audit.is_hard.astype(int)}
    columns |= {"race": audit.race, "gender": audit.gender, "age": audit.age}
    write_csv(path, {**columns, "logit": [f"{logit:.5f}" for logit in scores.audit]})


def _write_worst(out: Path, audit: Split, scores: Scores, count: int) -> None:
    """The faces farthest below the threshold and the negatives farthest above it, worst first; no file if none."""
    order = np.argsort(scores.audit)
    above = scores.audit > scores.threshold
    wrong = {
        "misses": order[(audit.is_face & ~above)[order]][:count],
        "false_positives": order[::-1][(~audit.is_face & above)[order[::-1]]][:count],
    }
    for name, rows in wrong.items():
        if len(rows):
            save_png(out / f"{name}.png", sheet(np.stack([audit.images[row] for row in rows]), PICTURES_A_ROW))

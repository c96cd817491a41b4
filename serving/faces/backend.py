"""Everything the faces API works with, built once from a bundle before the first request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from components.config import LabParams
from components.errors import UserError
from components.labs.faces.params import Serve
from components.labs.faces.runtime.model import FaceModel
from components.records import Verdict
from serving.core.backend import House
from serving.core.bundles import Served
from serving.core.metrics import Metrics
from serving.core.worker import Worker
from serving.faces import openapi
from serving.faces.detector import Eye
from serving.faces.schemas import AuditAnswer, AuditedOrigin, FacesInfo, Standing, WorstGroup

AUDIT_FILES = ("audit.html", "card.md")


@dataclass(frozen=True)
class Papers:
    """What the audit left, of the very model that answers: read at the start, whatever becomes of the folder."""

    answer: AuditAnswer
    report: bytes
    card: bytes


class FacesHouse(House):
    limits: Serve

    def __init__(self, served: Served, params: LabParams) -> None:
        """Loads the model and warms it up. Raises UserError for a bundle that does not say how pictures are framed."""
        bundle, evaluation = served.bundle, served.evaluation
        chosen = evaluation.serve if evaluation else {}
        graph = chosen.get("graph", bundle.spec["variants"][0])
        model = FaceModel.load(bundle, graph)
        if not model.picture_size:
            raise UserError(f"{bundle.folder} does not say how pictures are framed: run export, and what follows it")
        origin = AuditedOrigin.of(served, graph, audit=standing(served))
        limits: Serve = params.serve
        self.eye = Eye(model, chosen, params.evaluate.detection, limits.max_pixels)
        self.eye.warm_up()
        self.papers = papers(served, origin)
        self.worker = Worker(limits.waiting)
        info = FacesInfo(
            model=origin,
            spec=bundle.spec,
            providers=model.providers,
            limits=limits.model_dump(),
            metrics=evaluation.metrics if evaluation else {},
            weaknesses=list(evaluation.weaknesses) if evaluation else [],
            threshold=self.eye.threshold,
            detection_threshold=self.eye.detection_threshold,
        )
        super().__init__(limits, self.worker, Metrics(), info, openapi.document(limits, bundle.digest[:12]))


def standing(served: Served) -> Standing:
    """How the audited model stands; see AuditedOrigin.audit."""
    if served.audit is None or served.decision is None:
        return "NONE"
    if not served.audit.verdict.allows and served.decision.verdict is Verdict.WAIVED:
        return "WAIVED"  # the decision waives nothing unless it waives every failure
    return served.audit.verdict.value


def papers(served: Served, origin: AuditedOrigin) -> Papers | None:
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
        worst_group=_worst_group(audit.details),
        model=origin,
    )
    report, card = ((served.bundle.folder / name).read_bytes() for name in AUDIT_FILES)
    return Papers(answer, report, card)


def _worst_group(details: dict[str, Any]) -> WorstGroup | None:
    """Of the groups that the audit gates, as audit.json says under `details`."""
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

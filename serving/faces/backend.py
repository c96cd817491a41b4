"""What the faces API works with, built from a bundle before the first request."""

from __future__ import annotations

from components.errors import UserError
from components.labs.faces.params import FacesParams, Serve
from components.labs.faces.runtime.model import FaceModel
from components.promoted import Served
from serving.core.backend import Backend
from serving.core.worker import Worker
from serving.faces import openapi
from serving.faces.audit_records import audit_records, standing
from serving.faces.detector import Detector
from serving.faces.schemas import AuditedOrigin, FacesInfo


class FacesBackend(Backend):
    limits: Serve

    def __init__(self, served: Served, params: FacesParams) -> None:
        """Loads the model and warms it up. Raises UserError for a bundle that does not say how pictures are framed."""
        limits: Serve = params.serve
        model = FaceModel.load(served.bundle, served.variant)
        if not model.picture_size:
            raise UserError(
                f"{served.bundle.folder} does not say how pictures are framed: run export, and what follows it"
            )
        chosen = served.evaluation.serve if served.evaluation else {}
        self.detector = Detector(model, chosen, params.evaluate.detection, limits)
        self.detector.warm_up()
        origin = AuditedOrigin.of(served, audit=standing(served))
        self.audit_records = audit_records(served, origin)
        self.worker = Worker(limits.waiting)
        info = FacesInfo.of(
            served,
            limits,
            model.providers,
            model=origin,
            threshold=self.detector.threshold,
            detection_threshold=self.detector.detection_threshold,
        )
        super().__init__(served, limits, self.worker, info, openapi.document(limits, served.version))

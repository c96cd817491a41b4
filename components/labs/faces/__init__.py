"""Lab 2B: a face detector that learns what is rare among faces, and looks at it more often (DB-VAE)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.datasets.faces import params as data_params
from components.labs import Lab
from components.labs.faces import params
from components.labs.faces.audit import params as audit_params

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import pytorch_lightning as pl

    from components.bundle import Bundle, BundleSpec, Evaluation, Judged
    from components.promotion import AuditFindings


class FacesLab(Lab):
    name = "faces"
    audited = True
    datasets = ("fairface", "caltech101", "lfw", "course_faces")
    shared = ("datasets/faces",)
    gated = (
        "recall",
        "false_positive_rate",
        "hard_false_positive_rate",
        "roc_auc",
        "worst_group_recall",
        "worst_cell_recall",
        "recall_gap",
        "calibration_error",
        "brier_score",
        "average_precision",
        "detection_recall",
        "false_boxes",
        "quantisation_cost",
    )
    Train = params.Train
    Prepare = data_params.Prepare
    Export = params.Export
    Evaluate = params.Evaluate
    Serve = params.Serve
    Audit = audit_params.Audit

    def prepare(self, raw: Path, out: Path, params: data_params.Prepare) -> dict[str, Any]:
        from components.datasets.faces.prepare import prepare

        return prepare(raw, out, params)

    def facts(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        from components.datasets.faces.prepare import facts

        return facts(raw, prepared)

    def module(self, prepared: Path, params: params.Train) -> pl.LightningModule:
        from components.labs.faces.training.dbvae import DebiasingVae
        from components.labs.faces.training.model import FaceClassifier

        return DebiasingVae(params) if params.model == "dbvae" else FaceClassifier(params)

    def datamodule(self, prepared: Path, params: params.Train) -> pl.LightningDataModule:
        from components.labs.faces.training.batches import FaceData

        return FaceData(prepared, params)

    def export(self, module: Any, prepared: Path, out: Path, params: params.Export) -> BundleSpec:
        from components.labs.faces.export.bundle import export

        return export(module, prepared, out, params)

    def evaluate(
        self, bundle: Bundle, prepared: Path, out: Path, params: params.Evaluate, instruments: Mapping[str, Bundle]
    ) -> Evaluation:
        from components.labs.faces.evaluation.evaluate import evaluate

        return evaluate(bundle, prepared, out, params)

    def audit(
        self, candidate: Judged, champion: Judged | None, prepared: Path, out: Path, params: audit_params.Audit
    ) -> AuditFindings:
        from components.labs.faces.audit.run import audit
        from components.labs.faces.runtime.model import FaceModel

        return audit(candidate, champion, prepared, out, params, FaceModel.load)


LAB = FacesLab()

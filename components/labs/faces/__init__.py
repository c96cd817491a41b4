"""Lab 2B: a face detector that learns what is rare among faces, and looks at it more often (DB-VAE)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.labs import Api, AuditContext, EvaluateContext, Inputs, Lab
from components.labs.faces import params

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from components.bundle import BundleSpec
    from components.records import AuditFindings, Evaluation


class FacesLab(Lab):
    name = "faces"
    dataset = "faces"
    audited = True
    gate_metrics = (
        "recall",
        "false_positive_rate",
        "hard_false_positive_rate",
        "animal_false_positive_rate",
        "roc_auc",
        "worst_cell_recall",
        "cell_recall_gap",
        "worst_group_recall",
        "recall_gap",
        "calibration_error",
        "brier_score",
        "average_precision",
        "detection_recall",
        "false_boxes",
        "quantisation_cost",
    )
    headline = ("recall", "worst_group_recall", "recall_gap", "false_positive_rate", "roc_auc", "average_precision")
    api = Api("faces")
    Params = params.FacesParams

    def module(self, inputs: Inputs, params: params.Train) -> pl.LightningModule:
        from components.labs.faces.training.dbvae import DebiasingVae
        from components.labs.faces.training.model import FaceClassifier

        return DebiasingVae(params) if params.model == "dbvae" else FaceClassifier(params)

    def data(self, inputs: Inputs, params: params.Train) -> pl.LightningDataModule:
        from components.labs.faces.training.batches import FaceData

        return FaceData(inputs.prepared, params)

    def export(self, module: Any, inputs: Inputs, out: Path, params: params.Export) -> BundleSpec:
        from components.labs.faces.export.bundle import export

        return export(module, inputs.prepared, out, params)

    def evaluate(self, context: EvaluateContext) -> Evaluation:
        from components.labs.faces.evaluation.evaluate import evaluate

        return evaluate(context.bundle, context.inputs.prepared, context.out, context.params)

    def audit(self, context: AuditContext) -> AuditFindings:
        from components.labs.faces.audit.run import audit
        from components.labs.faces.runtime.model import FaceModel

        prepared = context.inputs.prepared
        return audit(context.candidate, context.champion, prepared, context.out, context.params, FaceModel.load)


LAB = FacesLab()

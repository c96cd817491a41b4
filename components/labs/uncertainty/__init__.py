"""Uncertainty: regression that says how sure it is, evidential, by ensembles or by dropout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.datasets.uci.columns import SETS
from components.labs import Api, EvaluateContext, Inputs, Lab, Monitor
from components.labs.uncertainty import params

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from components.bundle import BundleSpec
    from components.records import Evaluation


class UncertaintyLab(Lab):
    name = "uncertainty"
    dataset = "uci"
    monitor = Monitor("val_loss")
    gate_metrics = (
        *(f"{name}_{metric}" for name in SETS for metric in params.SET_METRICS),
        "mean_calibration_error",
        "coverage_90",
        "least_coverage_90",
        "most_coverage_90",
        "least_sure_coverage_90",
        "ood_auroc",
    )
    headline = ("concrete_rmse", "concrete_nll", "mean_calibration_error", "coverage_90", "ood_auroc")
    api = Api("uncertainty")
    Params = params.Params

    def module(self, inputs: Inputs, params: params.Train) -> pl.LightningModule:
        from components.labs.uncertainty.training.model import UncertaintyModel
        from components.labs.uncertainty.training.problems import read_problems

        return UncertaintyModel(read_problems(inputs.prepared, params), params)

    def data(self, inputs: Inputs, params: params.Train) -> pl.LightningDataModule:
        from components.labs.uncertainty.training.batches import UncertaintyData
        from components.labs.uncertainty.training.problems import read_problems

        return UncertaintyData(read_problems(inputs.prepared, params), params)

    def export(self, module: Any, inputs: Inputs, out: Path, params: params.Export) -> BundleSpec:
        from components.labs.uncertainty.export.bundle import export

        return export(module, inputs.prepared, out, params)

    def evaluate(self, context: EvaluateContext) -> Evaluation:
        from components.labs.uncertainty.evaluation.evaluate import evaluate

        return evaluate(context.bundle, context.inputs.prepared, context.out, context.params)


LAB = UncertaintyLab()

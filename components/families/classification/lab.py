"""What every lab that reads handwritten digits answers alike: its batches, its export and how it is measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.families.classification import params
from components.labs import Api, EvaluateContext, Inputs, Lab

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from components.bundle import BundleSpec
    from components.records import Evaluation


class DigitClassificationLab(Lab):
    """A lab adds its name, its Params and its module, which has a `network` from ink (B, 1, 28, 28) to logits."""

    dataset = "digits"
    gate_metrics = (
        "accuracy",
        "cross_entropy",
        "calibration_error",
        "worst_digit_accuracy",
        "shift_accuracy",
        "rotation_accuracy",
        "noise_accuracy",
        "blur_accuracy",
        "quantisation_cost",
        "ood_auroc",
        "abstain_rate",
    )
    headline = (
        "accuracy",
        "worst_digit_accuracy",
        "calibration_error",
        "shift_accuracy",
        "rotation_accuracy",
        "ood_auroc",
    )
    api = Api("digits")

    def data(self, inputs: Inputs, params: params.Batches) -> pl.LightningDataModule:
        from components.families.classification.training.batches import DigitsData

        return DigitsData(inputs.prepared, params)

    def export(self, module: Any, inputs: Inputs, out: Path, params: params.Export) -> BundleSpec:
        from components.families.classification.export.bundle import export

        return export(module.network, inputs.prepared, out, params)

    def evaluate(self, context: EvaluateContext) -> Evaluation:
        from components.families.classification.evaluation.evaluate import evaluate

        return evaluate(context.bundle, context.inputs.prepared, context.out, context.params)

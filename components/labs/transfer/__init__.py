"""Lab 2A, second half: a backbone pretrained on ImageNet gets a new head and is fine-tuned on few photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.labs import Api, EvaluateContext, Inputs, Lab, Monitor
from components.labs.transfer import params

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from components.bundle import BundleSpec
    from components.records import Evaluation


class TransferLab(Lab):
    name = "transfer"
    dataset = "faces"
    pretrained = ("efficientnet_lite0",)
    monitor = Monitor("val_error")
    gate_metrics = ("accuracy", "top_5_accuracy", "cross_entropy", "calibration_error", "quantisation_cost")
    headline = ("accuracy", "top_5_accuracy", "calibration_error", "quantisation_cost")
    api = Api("transfer")
    Params = params.TransferParams

    def module(self, inputs: Inputs, params: params.Train) -> pl.LightningModule:
        from components.datasets.faces.category_reader import categories
        from components.labs.transfer.training.model import TransferModel

        downloads = inputs.prepared.parent / "weights"
        return TransferModel(params, categories(inputs.prepared), inputs.pretrained, downloads)

    def data(self, inputs: Inputs, params: params.Train) -> pl.LightningDataModule:
        from components.labs.transfer.training.batches import TransferData

        return TransferData(inputs.prepared, params)

    def export(self, module: Any, inputs: Inputs, out: Path, params: params.Export) -> BundleSpec:
        from components.labs.transfer.export import export

        return export(module, inputs.prepared, out, params)

    def evaluate(self, context: EvaluateContext) -> Evaluation:
        from components.labs.transfer.evaluation import evaluate

        return evaluate(context.bundle, context.inputs.prepared, context.out, context.params)


LAB = TransferLab()

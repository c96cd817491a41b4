"""Lab 2A, second half: a pretrained VGG16 gets a new head, is fine-tuned, and must beat one trained from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.datasets.faces import params as data_params
from components.labs import Lab
from components.labs.transfer import params

if TYPE_CHECKING:
    import pandas as pd
    import pytorch_lightning as pl

    from components.bundle import Bundle, BundleSpec, Evaluation


class TransferLab(Lab):
    name = "transfer"
    datasets = ("fairface", "caltech101", "lfw")
    shared = ("datasets/faces", "datasets/digits")
    suites = "faces"
    gated = ("accuracy", "top_5_accuracy", "cross_entropy", "calibration_error", "quantisation_cost")
    Train = params.Train
    Prepare = data_params.Prepare
    Export = params.Export
    Evaluate = params.Evaluate

    def prepare(self, raw: Path, out: Path, params: data_params.Prepare) -> dict[str, Any]:
        from components.datasets.faces.prepare import prepare

        return prepare(raw, out, params)

    def facts(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        from components.datasets.faces.categories import facts as categories
        from components.datasets.faces.prepare import facts

        learned = categories(prepared)
        return facts(raw, prepared) if learned is None else {**facts(raw, prepared), "categories": learned}

    def module(self, prepared: Path, params: params.Train) -> pl.LightningModule:
        from components.datasets.faces.categories import categories
        from components.labs.transfer.training.model import TransferModel

        return TransferModel(params, categories(prepared), prepared.parent / "weights")

    def datamodule(self, prepared: Path, params: params.Train) -> pl.LightningDataModule:
        from components.labs.transfer.training.batches import TransferData

        return TransferData(prepared, params)

    def export(self, module: Any, prepared: Path, out: Path, params: params.Export) -> BundleSpec:
        from components.labs.transfer.export import export

        return export(module, prepared, out, params)

    def evaluate(
        self, bundle: Bundle, prepared: Path, out: Path, params: params.Evaluate, instruments: Mapping[str, Bundle]
    ) -> Evaluation:
        from components.labs.transfer.evaluation import evaluate

        return evaluate(bundle, prepared, out, params)


LAB = TransferLab()

"""What every lab on digits answers alike: where its data comes from, how it is checked and how it is measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.families.classification import params
from components.labs import Lab

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import pytorch_lightning as pl

    from components.bundle import Bundle, BundleSpec, Evaluation


class DigitsLab(Lab):
    """A lab adds its name, its Train and its module, which has a `network` from ink (B, 1, 28, 28) to logits."""

    datasets = ("mnist", "digits")
    shared = ("datasets/digits",)
    suites = "digits"
    gated = (
        "accuracy",
        "cross_entropy",
        "calibration_error",
        "worst_digit_accuracy",
        "shift_accuracy",
        "rotation_accuracy",
        "noise_accuracy",
        "blur_accuracy",
        "quantisation_cost",
    )
    Prepare = params.Prepare
    Export = params.Export
    Evaluate = params.Evaluate

    def prepare(self, raw: Path, out: Path, params: params.Prepare) -> dict[str, Any]:
        from components.datasets.digits.prepare import prepare

        return prepare(raw, out, params)

    def facts(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        from components.datasets.digits.prepare import facts

        return facts(raw, prepared)

    def datamodule(self, prepared: Path, params: params.Batches) -> pl.LightningDataModule:
        from components.families.classification.training.batches import DigitsData

        return DigitsData(prepared, params)

    def export(self, module: Any, prepared: Path, out: Path, params: params.Export) -> BundleSpec:
        from components.families.classification.export import export

        return export(module.network, prepared, out, params)

    def evaluate(
        self, bundle: Bundle, prepared: Path, out: Path, params: params.Evaluate, instruments: Mapping[str, Bundle]
    ) -> Evaluation:
        from components.families.classification.evaluation.evaluate import evaluate

        return evaluate(bundle, prepared, out, params)

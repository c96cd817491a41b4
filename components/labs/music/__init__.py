"""Lab 1B: Irish folk tunes in ABC notation, a character at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.labs import Api, EvaluateContext, Inputs, Lab, Monitor
from components.labs.music import params

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from components.bundle import BundleSpec
    from components.records import Evaluation


class MusicLab(Lab):
    name = "music"
    dataset = "music"
    monitor = Monitor("val_bits_per_char")
    gate_metrics = (
        "bits_per_char",
        "valid_sample_rate",
        "valid_checked_rate",
        "checked_rate",
        "worst_request_rate",
        "quantisation_cost",
    )
    headline = ("bits_per_char", "valid_sample_rate", "worst_request_rate", "drawn_per_character", "quantisation_cost")
    api = Api("music")
    Params = params.MusicParams

    def module(self, inputs: Inputs, params: params.Train) -> pl.LightningModule:
        from components.labs.music.training.model import MusicModel

        return MusicModel.create(inputs.prepared, params)

    def data(self, inputs: Inputs, params: params.Train) -> pl.LightningDataModule:
        from components.labs.music.training.model import MusicData

        return MusicData(inputs.prepared, params)

    def export(self, module: Any, inputs: Inputs, out: Path, params: params.Export) -> BundleSpec:
        from components.labs.music.export.bundle import export

        return export(module, inputs.prepared, out, params)

    def evaluate(self, context: EvaluateContext) -> Evaluation:
        from components.labs.music.evaluation.evaluate import evaluate

        return evaluate(context.bundle, context.inputs.prepared, context.out, context.params)


LAB = MusicLab()

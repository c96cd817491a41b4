"""Lab 1B: Irish folk tunes in ABC notation, a character at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.labs import Lab
from components.labs.music import params

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import pytorch_lightning as pl

    from components.bundle import Bundle, BundleSpec, Evaluation


class MusicLab(Lab):
    name = "music"
    datasets = ("music",)
    gated = ("bits_per_char", "valid_sample_rate", "valid_checked_rate", "checked_rate", "quantisation_cost")
    Train = params.Train
    Prepare = params.Prepare
    Export = params.Export
    Evaluate = params.Evaluate
    Serve = params.Serve

    def prepare(self, raw: Path, out: Path, params: params.Prepare) -> dict[str, Any]:
        from components.datasets.music.prepare import prepare

        return prepare(raw, out, params)

    def facts(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        from components.datasets.music.prepare import facts

        return facts(raw, prepared)

    def module(self, prepared: Path, params: params.Train) -> pl.LightningModule:
        from components.labs.music.training.model import MusicModel

        return MusicModel.create(prepared, params)

    def datamodule(self, prepared: Path, params: params.Train) -> pl.LightningDataModule:
        from components.labs.music.training.model import MusicData

        return MusicData(prepared, params)

    def export(self, module: Any, prepared: Path, out: Path, params: params.Export) -> BundleSpec:
        from components.labs.music.export.bundle import export

        return export(module, prepared, out, params)

    def evaluate(
        self, bundle: Bundle, prepared: Path, out: Path, params: params.Evaluate, instruments: Mapping[str, Bundle]
    ) -> Evaluation:
        from components.labs.music.evaluation.evaluate import evaluate

        return evaluate(bundle, prepared, out, params)


LAB = MusicLab()

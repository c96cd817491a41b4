"""Lab 1A: a fully connected network whose every derivative is written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.families.classification.lab import DigitsLab
from components.labs.mlp import params

if TYPE_CHECKING:
    import pytorch_lightning as pl


class ScratchLab(DigitsLab):
    name = "scratch"
    Train = params.Train

    def module(self, prepared: Path, params: params.Train) -> pl.LightningModule:
        from components.labs.mlp.training.model import ScratchModel

        return ScratchModel(params)


LAB = ScratchLab()

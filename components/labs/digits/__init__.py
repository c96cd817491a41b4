"""Lab 2A: handwritten digits, by a convolutional or a fully connected network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.families.classification.lab import DigitsLab as OnDigits
from components.labs.digits import params

if TYPE_CHECKING:
    import pytorch_lightning as pl


class DigitsLab(OnDigits):
    name = "digits"
    Train = params.Train
    Serve = params.Serve

    def module(self, prepared: Path, params: params.Train) -> pl.LightningModule:
        from components.labs.digits.model import DigitsModel, network

        return DigitsModel(network(params), params)


LAB = DigitsLab()

"""Lab 2A: handwritten digits, by a convolutional or a fully connected network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.families.classification.lab import DigitClassificationLab
from components.labs import Inputs
from components.labs.digits import params

if TYPE_CHECKING:
    import pytorch_lightning as pl


class DigitsLab(DigitClassificationLab):
    name = "digits"
    Params = params.DigitsParams

    def module(self, inputs: Inputs, params: params.Train) -> pl.LightningModule:
        from components.labs.digits.model import DigitsModel, network

        return DigitsModel(network(params), params)


LAB = DigitsLab()

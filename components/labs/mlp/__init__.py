"""Lab 1A: a fully connected network whose every derivative is written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.families.classification.lab import DigitClassificationLab
from components.labs import Inputs
from components.labs.mlp import params

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from torch import nn


class MlpLab(DigitClassificationLab):
    name = "mlp"
    Params = params.MlpParams

    def module(self, inputs: Inputs, params: params.Train) -> pl.LightningModule:
        from components.labs.mlp.training.model import MlpModel

        return MlpModel(params)

    def untrained(self, inputs: Inputs, params: params.Train) -> nn.Module:
        from torch import nn

        from components.labs.mlp.training.network import network

        return nn.ModuleDict({"network": network(params)})


LAB = MlpLab()

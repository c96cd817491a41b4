"""A car that drives from pixels to steering, gas and brake, in gymnasium's CarRacing-v3. It imitates an expert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.labs import Api, EvaluateContext, Inputs, Lab, Monitor
from components.labs.driving import params
from components.settings import draw_without_display

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from components.bundle import BundleSpec
    from components.records import Evaluation


class DrivingLab(Lab):
    """The methods quiet SDL before anything imports pygame."""

    name = "driving"
    dataset = "driving"
    monitor = Monitor("val_return", "max")
    gate_metrics = (
        "mean_return",
        "median_return",
        "min_return",
        "solved_share",
        "noisy_return",
        "delayed_return",
        "quantisation_cost",
    )
    headline = ("mean_return", "min_return", "solved_share", "expert_return", "noisy_return", "delayed_return")
    api = Api("agents", extras=("games",))
    Params = params.DrivingParams

    def module(self, inputs: Inputs, params: params.Train) -> pl.LightningModule:
        draw_without_display()
        from components.labs.driving.training.model import DrivingModel

        return DrivingModel(params)

    def data(self, inputs: Inputs, params: params.Train) -> pl.LightningDataModule:
        draw_without_display()
        from components.datasets.environments.reader import Environment
        from components.labs.driving.training.rounds import DaggerData

        return DaggerData(Environment.read(inputs.prepared), params)

    def export(self, module: Any, inputs: Inputs, out: Any, params: params.Export) -> BundleSpec:
        draw_without_display()
        from components.labs.driving.export import export

        return export(module, inputs.prepared, out, params)

    def evaluate(self, context: EvaluateContext) -> Evaluation:
        draw_without_display()
        from components.labs.driving.evaluation.evaluate import evaluate

        return evaluate(context.bundle, context.inputs.prepared, context.out, context.params)


LAB = DrivingLab()

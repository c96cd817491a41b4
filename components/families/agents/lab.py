"""What every lab answers alike whose model plays a game: a lab adds its name, its dataset and its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.datasets.environments.reader import Environment
from components.families.agents import params
from components.labs import Api, EvaluateContext, Inputs, Lab, Monitor

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from components.bundle import BundleSpec
    from components.families.agents.evaluation.published import Published
    from components.records import Evaluation


class AgentLab(Lab):
    """Its dataset is an environment."""

    monitor = Monitor("val_score", "max")
    gate_metrics: tuple[str, ...] = (
        "mean_return",
        "median_return",
        "min_return",
        "solved_share",
        "noisy_return",
        "delayed_return",
    )
    headline: tuple[str, ...] = (
        "mean_return",
        "min_return",
        "solved_share",
        "random_return",
        "noisy_return",
        "delayed_return",
    )
    api = Api("agents", extras=("games",))
    Params = params.AgentParams
    published: tuple[Published, ...] = ()
    """Agents that others measured in the same game."""

    def module(self, inputs: Inputs, params: params.Train) -> pl.LightningModule:
        from components.families.agents.training.algorithms import agent

        return agent(Environment.read(inputs.prepared), params)

    def data(self, inputs: Inputs, params: params.Train) -> pl.LightningDataModule:
        from components.families.agents.training.updates import Updates

        return Updates(params)

    def export(self, module: Any, inputs: Inputs, out: Any, params: params.Export) -> BundleSpec:
        from components.families.agents.export import export

        return export(module, Environment.read(inputs.prepared), out, params)

    def evaluate(self, context: EvaluateContext) -> Evaluation:
        from components.families.agents.evaluation.evaluate import evaluate

        environment = Environment.read(context.inputs.prepared)
        return evaluate(context.bundle, environment, context.out, context.params, self.published)

"""A language model that answers as Yoda or as a leprechaun: adapters beside a frozen pretrained base."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.labs import Api, EvaluateContext, Inputs, Lab, Monitor
from components.labs.chat import params

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from components.bundle import BundleSpec
    from components.records import Evaluation

BASE = "smollm2"
"""The base in sources.toml."""


class ChatLab(Lab):
    name = "chat"
    dataset = "styles"
    pretrained = (BASE,)
    monitor = Monitor("val_bits_per_byte")
    gate_metrics = (
        "bits_per_byte",
        "leprechaun_bits_per_byte",
        "plain_bits_per_byte",
        "plain_loss",
        "style_rate",
        "style_rate_low",
        "degenerate_rate",
        "fact_rate",
        "facts_lost",
        "memorised_rate",
    )
    headline = ("bits_per_byte", "style_rate", "degenerate_rate", "fact_rate", "facts_lost")
    api = Api("chat", extras=("chat",))
    Params = params.Params

    def module(self, inputs: Inputs, params: params.Train) -> pl.LightningModule:
        from components.labs.chat.training.base import read_base
        from components.labs.chat.training.model import ChatModel

        return ChatModel(read_base(base_folder(inputs, params)), params)

    def data(self, inputs: Inputs, params: params.Train) -> pl.LightningDataModule:
        from components.datasets.styles.template_reader import Template
        from components.labs.chat.training.base import read_base
        from components.labs.chat.training.batches import ChatData

        return ChatData(inputs.prepared, Template(read_base(base_folder(inputs, params)).tokenizer), params)

    def export(self, module: Any, inputs: Inputs, out: Path, params: params.Export) -> BundleSpec:
        from components.labs.chat.export.bundle import export

        return export(module, inputs.prepared, out, params)

    def evaluate(self, context: EvaluateContext) -> Evaluation:
        from components.labs.chat.evaluation.evaluate import evaluate

        return evaluate(context.bundle, context.inputs.prepared, context.out, context.params)


def base_folder(inputs: Inputs, params: params.Train) -> Path:
    """The folder of the base: the one that params names, else the lab's own."""
    return Path(params.base) if params.base else inputs.pretrained[BASE]


LAB = ChatLab()

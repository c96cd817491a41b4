"""Image generation on handwritten digits: a variational autoencoder or a GAN."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.families.generation.lab import GenerationLab
from components.labs.digit_generation import params

if TYPE_CHECKING:
    import numpy as np

    from components.families.generation.evaluation.measures import Certain
    from components.labs import EvaluateContext
    from components.records import Evaluation


class DigitGenerationLab(GenerationLab):
    name = "digit_generation"
    dataset = "digits"
    reference_models = ("digits",)
    held_out = "test"
    gate_metrics = (*GenerationLab.gate_metrics, "certain_rate")
    headline = (*GenerationLab.headline[:-1], "certain_rate")  # in place of what int8 costs: at most six are shown
    Params = params.DigitGenerationParams

    def pictures(self, prepared: Path, split: str) -> np.ndarray:
        from components.datasets.digits.reader import read_split

        return read_split(prepared, split).images[..., None]

    def evaluate(self, context: EvaluateContext, certain: Certain | None = None) -> Evaluation:
        from components.labs.digit_generation.evaluation.certainty import reader

        (classifier,) = context.reference_models.values()
        return super().evaluate(context, reader(classifier, context.params.certainty))


LAB = DigitGenerationLab()

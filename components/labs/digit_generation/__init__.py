"""Image generation on handwritten digits: a variational autoencoder or a GAN."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.families.generation.lab import GenerationLab
from components.labs.digit_generation import params

if TYPE_CHECKING:
    import numpy as np

    from components.bundle import Bundle
    from components.families.generation.evaluation.measures import Certain


class DigitGenerationLab(GenerationLab):
    name = "digit_generation"
    dataset = "digits"
    reference_models = ("digits",)
    held_out = "test"
    gate_metrics = (*GenerationLab.gate_metrics, "certain_rate")
    headline = (*GenerationLab.headline, "certain_rate")
    Params = params.DigitGenerationParams

    def pictures(self, prepared: Path, split: str) -> np.ndarray:
        from components.datasets.digits.reader import read_split

        return read_split(prepared, split).images[..., None]

    def certain(self, classifier: Bundle, params: params.Evaluate) -> Certain:
        """A picture counts that is not taken for none, and one of whose ten digits is as probable as `certainty`."""
        from components.families.classification.runtime import DigitModel, DistanceModel

        model, distance = DigitModel.load(classifier), DistanceModel.load(classifier)

        def read(images: np.ndarray) -> np.ndarray:
            digits = images[..., 0]
            found = model.probabilities(digits).max(axis=1) >= params.certainty
            known: np.ndarray = found & (distance.distances(digits) <= distance.limit) if distance else found
            return known

        return read


LAB = DigitGenerationLab()

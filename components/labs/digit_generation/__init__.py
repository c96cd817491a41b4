"""Image generation on handwritten digits: a variational autoencoder or a GAN."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.families.generation.lab import GenerationLab

if TYPE_CHECKING:
    import numpy as np


class DigitGenerationLab(GenerationLab):
    name = "digit_generation"
    dataset = "digits"
    reference_models = ("digits",)
    held_out = "test"

    def pictures(self, prepared: Path, split: str) -> np.ndarray:
        from components.datasets.digits.reader import read_split

        return read_split(prepared, split).images[..., None]


LAB = DigitGenerationLab()

"""Image generation on handwritten digits: a variational autoencoder or a GAN."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.families.classification.params import Prepare
from components.families.generation.lab import GenerationLab
from components.families.generation.params import Serve

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class ImagesLab(GenerationLab):
    name = "images"
    datasets = ("mnist", "digits")
    shared = ("generation", "datasets/digits")
    suites = "digits"
    instruments = ("digits",)
    held_out = "test"
    Prepare = Prepare
    Serve = Serve

    def prepare(self, raw: Path, out: Path, params: Any) -> dict[str, Any]:
        from components.datasets.digits.prepare import prepare

        return prepare(raw, out, params)

    def facts(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        from components.datasets.digits.prepare import facts

        return facts(raw, prepared)

    def pictures(self, prepared: Path, split: str) -> np.ndarray:
        from components.datasets.digits.prepare import read_split

        return read_split(prepared, split).images[..., None]


LAB = ImagesLab()

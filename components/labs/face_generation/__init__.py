"""Image generation on faces of 64 x 64 pixels: a variational autoencoder or a GAN."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.datasets.faces.params import Prepare
from components.families.generation.lab import GenerationLab

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class PortraitsLab(GenerationLab):
    name = "portraits"
    datasets = ("fairface", "caltech101", "lfw", "course_faces")
    shared = ("generation", "datasets/faces")
    suites = "faces"
    instruments = ("faces",)
    held_out = "audit"
    Prepare = Prepare

    def prepare(self, raw: Path, out: Path, params: Any) -> dict[str, Any]:
        from components.datasets.faces.prepare import prepare

        return prepare(raw, out, params)

    def facts(self, raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
        from components.datasets.faces.prepare import facts

        return facts(raw, prepared)

    def pictures(self, prepared: Path, split: Any) -> np.ndarray:
        from components.datasets.faces.reader import centre, read_split

        faces = read_split(prepared, split)
        return centre(faces.images[faces.is_face.nonzero()[0]])


LAB = PortraitsLab()

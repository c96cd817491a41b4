"""Image generation on faces of 64 x 64 pixels: a variational autoencoder or a GAN."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.families.generation.lab import GenerationLab

if TYPE_CHECKING:
    import numpy as np


class FaceGenerationLab(GenerationLab):
    name = "face_generation"
    dataset = "faces"
    reference_models = ("faces",)
    held_out = "audit"

    def pictures(self, prepared: Path, split: Any) -> np.ndarray:
        from components.datasets.faces.reader import face_pictures

        return face_pictures(prepared, split)


LAB = FaceGenerationLab()

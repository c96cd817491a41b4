"""What every lab of generated pictures answers alike: a lab adds its name, its data and the classifier to judge by."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.families.generation import params
from components.labs import Lab

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pytorch_lightning as pl

    from components.bundle import Bundle, BundleSpec, Evaluation


class GenerationLab(Lab):
    """Its only instrument is the classifier whose features pictures are compared in."""

    gated = (
        "frechet_distance",
        "relative_frechet_distance",
        "precision",
        "recall",
        "near_copy_rate",
        "elbo",
        "importance_bound",
        "quantisation_cost",
    )
    held_out: str
    """The split that `evaluate` compares with; training and validation never see it."""
    Train = params.Train
    Export = params.Export
    Evaluate = params.Evaluate

    @abstractmethod
    def pictures(self, prepared: Path, split: str) -> np.ndarray:
        """(N, H, W, C) uint8 of a split, square, one channel or three. Raises UserError when prepare has not run."""

    def module(self, prepared: Path, params: params.Train) -> pl.LightningModule:
        from components.families.generation.training.gan import Gan
        from components.families.generation.training.networks import Shape
        from components.families.generation.training.vae import Vae

        _, size, _, channels = self.pictures(prepared, "validation").shape
        return (Vae if params.model == "vae" else Gan)(Shape(size, channels), params)

    def datamodule(self, prepared: Path, params: params.Train) -> pl.LightningDataModule:
        from components.families.generation.training.batches import PictureData

        return PictureData(self.pictures(prepared, "train"), self.pictures(prepared, "validation"), params)

    def export(self, module: Any, prepared: Path, out: Path, params: params.Export) -> BundleSpec:
        from components.families.generation.export.bundle import export
        from components.families.generation.export.prior import fit
        from components.families.generation.training.vae import Vae

        prior = None
        if params.prior_components and isinstance(module, Vae):
            prior = fit(module, self.pictures(prepared, "train"), params.prior_components)
        return export(module, self.pictures(prepared, "validation"), out, params, prior)

    def evaluate(
        self, bundle: Bundle, prepared: Path, out: Path, params: params.Evaluate, instruments: Mapping[str, Bundle]
    ) -> Evaluation:
        from components.families.generation.evaluation.evaluate import Real, evaluate

        real = Real(self.pictures(prepared, "train"), self.pictures(prepared, self.held_out))
        (classifier,) = instruments.values()
        return evaluate(bundle, real, out, params, classifier)

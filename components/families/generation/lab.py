"""What every lab of generated pictures answers alike: a lab adds its name, its pictures and its classifier."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.families.generation import params
from components.labs import Api, EvaluateContext, Inputs, Lab, Monitor

if TYPE_CHECKING:
    import numpy as np
    import pytorch_lightning as pl

    from components.bundle import BundleSpec
    from components.families.generation.evaluation.measures import Certain
    from components.records import Evaluation


class GenerationLab(Lab):
    """Its only reference model is the classifier whose features pictures are compared in."""

    monitor = Monitor("val_objective")
    gate_metrics: tuple[str, ...] = (
        "frechet_distance",
        "relative_frechet_distance",
        "precision",
        "recall",
        "near_copy_rate",
        "elbo",
        "importance_bound",
        "quantisation_cost",
    )
    headline: tuple[str, ...] = (
        "relative_frechet_distance",
        "precision",
        "recall",
        "near_copy_rate",
        "importance_bound",
        "quantisation_cost",
    )
    api = Api("generation")
    Params: type[params.GenerationParams] = params.GenerationParams
    held_out: str
    """The split that `evaluate` compares with; training and validation never see it."""

    @abstractmethod
    def pictures(self, prepared: Path, split: str) -> np.ndarray:
        """(N, H, W, C) uint8 of a split, square, one channel or three. Raises UserError when prepare has not run."""

    def module(self, inputs: Inputs, params: params.Train) -> pl.LightningModule:
        from components.families.generation.training.gan import Gan
        from components.families.generation.training.networks import Shape
        from components.families.generation.training.vae import Vae

        _, size, _, channels = self.pictures(inputs.prepared, "validation").shape
        return (Vae if params.model == "vae" else Gan)(Shape(size, channels), params)

    def data(self, inputs: Inputs, params: params.Train) -> pl.LightningDataModule:
        from components.families.generation.training.batches import PictureData

        train, validation = (self.pictures(inputs.prepared, split) for split in ("train", "validation"))
        return PictureData(train, validation, params)

    def export(self, module: Any, inputs: Inputs, out: Path, params: params.Export) -> BundleSpec:
        from components.families.generation.export.bundle import export
        from components.families.generation.export.prior import fit
        from components.families.generation.training.vae import Vae

        prior = None
        if params.prior_components and isinstance(module, Vae):
            prior = fit(module, self.pictures(inputs.prepared, "train"), params.prior_components)
        return export(module, self.pictures(inputs.prepared, "validation"), out, params, prior)

    def evaluate(self, context: EvaluateContext, certain: Certain | None = None) -> Evaluation:
        from components.families.generation.evaluation.evaluate import Real, evaluate

        prepared = context.inputs.prepared
        real = Real(self.pictures(prepared, "train"), self.pictures(prepared, self.held_out))
        (classifier,) = context.reference_models.values()
        return evaluate(context.bundle, real, context.out, context.params, classifier, certain)

"""What a debiasing autoencoder has learned, as pictures: reconstructions, latent traversals, faces favoured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from components.datasets.faces.reader import Split, centre
from components.labs.faces.training.dbvae import DebiasingVae
from components.labs.faces.training.resampling import Combination, encoder_means, sampling_probabilities

STEPS = 9
"""Pictures of a traversal, evenly from -SPAN to SPAN standard deviations of the feature over faces."""
SPAN = 2.5
SAMPLE = 2048
"""Faces of which the features' spread and the rarest are found."""


def write_pictures(model: DebiasingVae, split: Split, out: Path, count: int) -> None:
    """Writes reconstructions.png, traversals.png and favoured.png into `out`, from the split's faces.

    reconstructions: faces above, what the autoencoder makes of them below.  traversals: a row a latent feature, the
    ones that vary most.  favoured: the faces that resampling favours most above, least below.
    """
    rows = np.flatnonzero(split.is_face)[:SAMPLE]
    faces = centre(split.images[rows])
    means = np.concatenate(list(encoder_means(model, split.images, rows)))
    _save(out / "reconstructions.png", [faces[:count], decoded(model, means[:count])])
    _save(out / "traversals.png", [decoded(model, latents) for latents in traversals(means, count)])
    params = model.params
    combination: Combination = "product" if params.resampling == "product" else "max"
    order = np.argsort(sampling_probabilities(means, params.bins, params.smoothing, combination))
    _save(out / "favoured.png", [faces[order[::-1][:count]], faces[order[:count]]])


def decoded(model: DebiasingVae, latents: np.ndarray) -> np.ndarray:
    """Pictures (B, 64, 64, 3) uint8 of latents (B, latent_dim)."""
    with torch.inference_mode():
        pictures = model.decoder(torch.from_numpy(latents.astype(np.float32)))
    bytes_: np.ndarray = (pictures.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return bytes_


def traversals(means: np.ndarray, count: int) -> np.ndarray:
    """Latents (features, STEPS, latent_dim): the mean face, with one of the `count` most varied features moved."""
    spread = means.std(axis=0)
    features = np.argsort(spread)[::-1][:count]
    latents = np.tile(means.mean(axis=0), (len(features), STEPS, 1))
    for row, feature in enumerate(features):
        latents[row, :, feature] += np.linspace(-SPAN, SPAN, STEPS) * spread[feature]
    return latents


def _save(path: Path, rows: list[np.ndarray]) -> None:
    """One PNG of rows of pictures (B, H, W, 3)."""
    Image.fromarray(np.concatenate([np.concatenate(list(row), axis=1) for row in rows])).save(path)

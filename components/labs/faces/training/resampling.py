"""Sampling probabilities of faces in the next epoch: rare latent features first (Amini et al. 2019, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch

from components.labs.faces.params import Train
from components.labs.faces.training.augment import plain
from components.labs.faces.training.dbvae import DebiasingVae
from components.labs.faces.training.model import folded

CHUNK = 256
"""Faces encoded together: their activations fit the processor's cache."""

Combination = Literal["max", "product"]


class Histograms:
    """How common each value of each latent feature is, from the latents (N, latent_dim) of a sample of faces.

    As the course has it: density + smoothing, normalised over the bins. The edge bins reach to infinity.
    """

    def __init__(self, latents: np.ndarray, bins: int, smoothing: float) -> None:
        self.low, high = latents.min(axis=0), latents.max(axis=0)
        self.width = np.maximum((high - self.low) / bins, np.finfo(np.float32).tiny)
        self.bins = bins
        columns = np.arange(latents.shape[1])
        flat = (self._bin(latents) + columns * bins).ravel()
        counts = np.bincount(flat, minlength=bins * len(columns)).reshape(len(columns), bins)
        density = counts / (len(latents) * self.width[:, None]) + smoothing
        rarity = density.sum(axis=1, keepdims=True) / density
        # So that every feature's rarity is 1 in the mean over faces, which is what the paper's sum over faces does.
        self.rarity = rarity / ((counts * rarity).sum(axis=1, keepdims=True) / len(latents))

    def weights(self, latents: np.ndarray, combination: Combination) -> np.ndarray:
        """(N,) not normalised; of a product, the logarithm: it over- and underflows a float."""
        rarity = self.rarity[np.arange(latents.shape[1]), self._bin(latents)]
        weights: np.ndarray = np.log(rarity).sum(axis=1) if combination == "product" else rarity.max(axis=1)
        return weights

    def _bin(self, latents: np.ndarray) -> np.ndarray:
        bins: np.ndarray = np.clip((latents - self.low) / self.width, 0, self.bins - 1).astype(np.int64)
        return bins


def sampling_probabilities(
    latents: np.ndarray, bins: int, smoothing: float, combination: Combination = "max"
) -> np.ndarray:
    """Weight of each face in the next epoch, rare latent features first.

    latents: (faces, latent_dim) encoder means. Returns (faces,), summing to 1. For each latent feature the histogram's
    density is inverted; over features the product counts (the paper's eq. 4) or the largest (the course). `smoothing`
    is the paper's alpha: larger moves towards uniform.
    """
    return _normalised(Histograms(latents, bins, smoothing).weights(latents, combination), combination)


def face_weights(model: DebiasingVae, images: np.ndarray, faces: np.ndarray, params: Train) -> np.ndarray:
    """`sampling_probabilities` of the rows `faces` of images (N, S, S, 3) uint8, under the current model.

    At most `histogram_faces` faces' latents are held: of more, an even sample makes the histograms and the others
    are encoded a chunk at a time, so memory does not grow with the faces but for one weight each.
    """
    combination: Combination = "product" if params.resampling == "product" else "max"
    sample = faces
    if len(faces) > params.histogram_faces:
        sample = faces[np.linspace(0, len(faces) - 1, params.histogram_faces).astype(np.int64)]
    latents = np.concatenate(list(encoder_means(model, images, sample)))
    histograms = Histograms(latents, params.bins, params.smoothing)
    chunks = [latents] if len(sample) == len(faces) else encoder_means(model, images, faces)
    return _normalised(np.concatenate([histograms.weights(chunk, combination) for chunk in chunks]), combination)


def encoder_means(model: DebiasingVae, images: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Latent means (at most CHUNK, latent_dim) of the rows of images (N, S, S, 3) uint8, scaled as in training.

    Works on a copy with folded batch norms and without the logarithms of the variance and the decoder, which are not
    needed; the model itself, its mode included, stays as it is.
    """
    encoder = folded(model.encoder)
    wanted = slice(1, 1 + model.params.latent_dim)
    encoder.outputs.weight.data = encoder.outputs.weight.data[wanted].contiguous()
    encoder.outputs.bias.data = encoder.outputs.bias.data[wanted].contiguous()  # type: ignore[union-attr]
    bf16 = "bf16" in str(model.trainer.precision) if model._trainer else False
    for first in range(0, len(rows), CHUNK):
        # The yield is outside inference_mode, which would otherwise stay on between two chunks.
        with torch.inference_mode(), torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            chunk = torch.from_numpy(images[rows[first : first + CHUNK]]).to(model.device)
            means = encoder(plain(chunk)).float().cpu().numpy()
        yield means


def _normalised(weights: np.ndarray, combination: Combination) -> np.ndarray:
    weights = weights.astype(np.float64)
    if combination == "product":
        weights = np.exp(weights - weights.max())
    weights /= weights.sum()
    return weights

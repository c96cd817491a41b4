"""Runs an exported face model: numpy and onnxruntime, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from components.errors import UserError
from components.stats import sigmoid

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from components.bundle import Bundle

BATCH = 256
"""Images in one call of a graph, at most: more are read in turns, so that memory stays bounded."""


class FaceModel:
    """One variant ("float" or "int8") of a bundle. May be called from several threads at once."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        classifier: InferenceSession,
        dense: InferenceSession | None = None,
        encoder: InferenceSession | None = None,
    ) -> None:
        """spec: of the bundle. classifier, dense: graphs of one variant. encoder: a dbvae's."""
        self.size: int = spec["size"]
        self.picture_size: int = spec.get("picture_size", 0)
        """A face's whole picture is reduced to this side, and its centre classified; 0 in older bundles."""
        self._classifier, self._dense, self._encoder = classifier, dense, encoder

    @classmethod
    def load(cls, bundle: Bundle, variant: str | None = None, threads: int = 1) -> Self:
        """variant: by default the bundle's first. Raises UserError when the bundle lacks it."""
        variants: list[str] = bundle.spec["variants"]
        variant = variants[0] if variant is None else variant
        if variant not in variants:
            raise UserError(f"the bundle has no variant {variant!r}; it has {', '.join(variants)}")
        encoder = bundle.session("encoder", threads) if "encoder" in bundle.manifest.graphs else None
        dense = bundle.session(dense_graph(variant), threads)
        return cls(bundle.spec, bundle.session(variant, threads), dense, encoder)

    @property
    def providers(self) -> list[str]:
        """onnxruntime's execution providers, the preferred one first."""
        found: list[str] = self._classifier.get_providers()
        return found

    def logits(self, images: np.ndarray) -> np.ndarray:
        """(B,) float32: log-odds that images (B, size, size, 3) uint8 RGB show faces. ValueError on other arrays."""
        return self._run(self._classifier, images)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """(B,) float32 in 0 to 1."""
        return sigmoid(self.logits(images))

    def means(self, images: np.ndarray) -> np.ndarray:
        """Latent means (B, latent_dim) float32. Raises UserError when the model has no latents."""
        if self._encoder is None:
            raise UserError("this model has no latent features: train with faces.model: dbvae")
        return self._run(self._encoder, images)

    def dense(self, picture: np.ndarray) -> np.ndarray:
        """Map (h, w) float32 of logits over picture (H, W, 3) uint8, which is at least (size, size).

        Entry (i, j) is about the logit of the crop whose corner is at (16 i, 16 j): at the picture's edge it is the
        same but for what padding does, elsewhere it sees what lies around the crop.
        """
        if self._dense is None:
            raise UserError("this model was loaded without its dense graph")
        shape = picture.shape
        if picture.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or min(shape[:2]) < self.size:
            raise ValueError(f"a picture is (H, W, 3) uint8, at least {self.size} wide and high, not {shape}")
        found: np.ndarray = self._dense.run(None, {"images": np.ascontiguousarray(picture[None])})[0][0]
        return found

    def _run(self, session: InferenceSession, images: np.ndarray) -> np.ndarray:
        expected = (self.size, self.size, 3)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != expected:
            raise ValueError(f"images are (B, {self.size}, {self.size}, 3) uint8, not {images.shape} {images.dtype}")
        if len(images) <= BATCH:
            found: np.ndarray = session.run(None, {"images": np.ascontiguousarray(images)})[0]
            return found
        parts = [images[first : first + BATCH] for first in range(0, len(images), BATCH)]
        return np.concatenate([self._run(session, part) for part in parts])


def dense_graph(variant: str) -> str:
    """The graph that gives the map of a whole photograph."""
    return f"{variant}_dense"

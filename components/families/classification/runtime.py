"""Reads digits with an exported bundle: numpy and onnxruntime, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from components.errors import UserError
from components.stats import softmax

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from components.bundle import Bundle


class DigitModel:
    """A graph from pictures (batch, 28, 28) uint8, 0 background to 255 ink, to logits (batch, 10) float32."""

    def __init__(self, spec: dict[str, Any], session: InferenceSession) -> None:
        self.size: int = spec["size"]
        self._session = session

    @classmethod
    def load(cls, bundle: Bundle, variant: str | None = None, threads: int = 1) -> Self:
        """A verified bundle's graph; the first variant unless one is named. Raises BundleError for one it lacks."""
        return cls(bundle.spec, bundle.session(variant or bundle.spec["variants"][0], threads))

    @property
    def providers(self) -> list[str]:
        """onnxruntime's execution providers, the preferred one first."""
        found: list[str] = self._session.get_providers()
        return found

    def logits(self, images: np.ndarray, batch: int = 1000) -> np.ndarray:
        """(N, 10) float32 for images (N, 28, 28) uint8, `batch` at a time. Raises UserError for another shape."""
        if images.dtype != np.uint8 or images.shape[1:] != (self.size, self.size):
            raise UserError(
                f"digits are read as bytes of {self.size} x {self.size} pixels, not as {images.dtype} "
                f"{images.shape[1:]}"
            )
        parts = [
            self._session.run(["logits"], {"images": np.ascontiguousarray(images[first : first + batch])})[0]
            for first in range(0, len(images), batch)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, 10), np.float32)

    def probabilities(self, images: np.ndarray, batch: int = 1000) -> np.ndarray:
        """(N, 10) float64, each row summing to 1."""
        return softmax(self.logits(images, batch))

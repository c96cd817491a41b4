"""Runs an exported model of the transfer lab: numpy and onnxruntime, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from components.errors import UserError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from components.bundle import Bundle


class CategoryModel:
    """A graph from pictures (batch, size, size, 3) uint8 RGB to logits (batch, categories) float32."""

    def __init__(self, spec: dict[str, Any], session: InferenceSession) -> None:
        self.size: int = spec["size"]
        self.categories: tuple[str, ...] = tuple(spec["categories"])
        self._session = session

    @classmethod
    def load(cls, bundle: Bundle, variant: str | None = None, threads: int = 1) -> Self:
        """A verified bundle's graph; the first variant unless one is named. Raises BundleError for one it lacks."""
        return cls(bundle.spec, bundle.session(variant or bundle.spec["variants"][0], threads))

    def logits(self, images: np.ndarray, batch: int = 64) -> np.ndarray:
        """(N, categories) float32 for images (N, size, size, 3) uint8. Raises UserError for another shape."""
        if images.dtype != np.uint8 or images.shape[1:] != (self.size, self.size, 3):
            raise UserError(
                f"pictures are read as bytes of {self.size} x {self.size} x 3, not as {images.dtype} {images.shape[1:]}"
            )
        parts = [
            self._session.run(["logits"], {"images": np.ascontiguousarray(images[first : first + batch])})[0]
            for first in range(0, len(images), batch)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.categories)), np.float32)

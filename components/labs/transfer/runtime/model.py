"""Runs an exported model of the transfer lab: numpy and onnxruntime, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from components.errors import UserError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from components.bundle import Bundle


class CategoryModel:
    """A graph from pictures (batch, size, size, 3) uint8 RGB to logits (batch, categories) and features, float32."""

    def __init__(self, spec: dict[str, Any], session: InferenceSession) -> None:
        self.size: int = spec["size"]
        self.categories: tuple[str, ...] = tuple(spec["categories"])
        self._session = session

    @classmethod
    def load(cls, bundle: Bundle, variant: str | None = None, threads: int = 1) -> Self:
        """A verified bundle's graph; the first variant unless one is named. Raises BundleError for one it lacks."""
        return cls(bundle.spec, bundle.session(variant or bundle.spec["variants"][0], threads))

    @property
    def providers(self) -> list[str]:
        """What onnxruntime runs it on."""
        providers: list[str] = self._session.get_providers()
        return providers

    def logits(self, images: np.ndarray, batch: int = 64) -> np.ndarray:
        """(N, categories) float32 for images (N, size, size, 3) uint8. Raises UserError for another shape."""
        return self._run("logits", images, batch)

    def features(self, images: np.ndarray, batch: int = 64) -> np.ndarray:
        """(N, F) float32 for images (N, size, size, 3) uint8. Raises UserError for another shape."""
        return self._run("features", images, batch)

    def _run(self, output: str, images: np.ndarray, batch: int) -> np.ndarray:
        if images.dtype != np.uint8 or images.shape[1:] != (self.size, self.size, 3):
            raise UserError(
                f"pictures are read as bytes of {self.size} x {self.size} x 3, not as {images.dtype} {images.shape[1:]}"
            )
        parts = [
            self._session.run([output], {"images": np.ascontiguousarray(images[first : first + batch])})[0]
            for first in range(0, max(1, len(images)), batch)
        ]
        return np.concatenate(parts)

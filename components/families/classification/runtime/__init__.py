"""Reads digits with an exported bundle: numpy and onnxruntime, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from components.errors import UserError
from components.stats import softmax

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from components.bundle import Bundle

SIZE, BOX = 28, 20
"""Sides of a picture, and of the box that MNIST scales a digit into."""
DISTANCE = "distance"
"""The graph that says how far a picture is from every training digit."""


def framed_as_mnist(digit: np.ndarray) -> np.ndarray:
    """(28, 28) uint8 of a digit (h, w), 0 paper to 255 ink, without paper around it (LeCun et al. 1998).

    It is scaled, keeping its proportions, into 20 x 20 pixels, and its centre of mass is put at pixel (14, 14).
    """
    from PIL import Image

    scale = BOX / max(digit.shape)
    width, height = (max(1, round(side * scale)) for side in digit.shape[::-1])
    small = np.asarray(Image.fromarray(digit.astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR))
    mass = small.astype(np.float64)
    canvas = np.zeros((SIZE, SIZE), np.uint8)
    corner = []
    for axis, side in enumerate(small.shape):
        centre = (mass.sum(axis=1 - axis) * np.arange(side)).sum() / mass.sum()
        corner.append(min(max(round(SIZE / 2 - centre), 0), SIZE - side))
    top, left = corner
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


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


class DistanceModel:
    """A graph from pictures (batch, 28, 28) uint8 to distances (batch,) from the nearest training digit.

    limit: what all but `abstain_percentile` of the validation digits stay below; farther pictures are taken for none.
    """

    def __init__(self, limit: float, session: InferenceSession) -> None:
        self.limit = limit
        self._session = session

    @classmethod
    def load(cls, bundle: Bundle, threads: int = 1) -> Self | None:
        """None of a bundle that was exported without the graph: nobody can say then what is no digit."""
        if DISTANCE not in bundle.manifest.graphs:
            return None
        return cls(bundle.spec["abstain_distance"], bundle.session(DISTANCE, threads))

    def distances(self, images: np.ndarray, batch: int = 100) -> np.ndarray:
        """(N,) float32, 0 (a training digit) to 1 (nothing in common with any)."""
        parts = [
            self._session.run(["distance"], {"images": np.ascontiguousarray(images[first : first + batch])})[0]
            for first in range(0, len(images), batch)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

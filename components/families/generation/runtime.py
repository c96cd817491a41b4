"""Generates pictures with an exported bundle: numpy and onnxruntime, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from components.errors import UserError
from components.stats import great_circle

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from components.bundle import Bundle


class Generator:
    """One variant ("float" or "int8") of a bundle. May be called from several threads at once."""

    def __init__(self, spec: dict[str, Any], session: InferenceSession, prior: InferenceSession | None = None) -> None:
        """spec: of the bundle. session: a graph from latents to pictures. prior: one from standard normal numbers to
        latents, where latents are not such numbers themselves."""
        self.size: int = spec["size"]
        self.channels: int = spec["channels"]
        self.latent_dim: int = spec["latent_dim"]
        self._session, self._prior = session, prior

    @classmethod
    def load(cls, bundle: Bundle, variant: str | None = None, threads: int = 1) -> Self:
        """A verified bundle's graph; the first variant unless one is named. Raises BundleError for one it lacks."""
        prior = bundle.session("prior", threads) if "prior" in bundle.manifest.graphs else None
        return cls(bundle.spec, bundle.session(variant or bundle.spec["variants"][0], threads), prior)

    @property
    def providers(self) -> list[str]:
        """onnxruntime's execution providers, the preferred one first."""
        providers: list[str] = self._session.get_providers()
        return providers

    def samples(self, seed: int, count: int) -> np.ndarray:
        """(count, H, W, C) uint8: the pictures of a seed; a larger count begins with the same ones.

        They are generated one at a time: in a batch a graph may sum in another order, which can change a rounded byte.
        """
        drawn = self.latents(seed, count)
        return np.concatenate([self.pictures(drawn[row : row + 1]) for row in range(count)])

    def interpolation(self, first: int, last: int, count: int) -> np.ndarray:
        """(count, H, W, C) uint8: an interpolation from the first picture of one seed to the first of another."""
        way = great_circle(self.latents(first, 1)[0], self.latents(last, 1)[0], count)
        return np.concatenate([self.pictures(way[row : row + 1]) for row in range(count)])

    def latents(self, seed: int, count: int) -> np.ndarray:
        """(count, latent_dim) float32 that pictures are made from; a larger count begins with the same."""
        if count < 1:
            raise UserError(f"{count} pictures cannot be made: ask for at least one")
        # numpy promises the same numbers in every version for this old generator, and not for the new one.
        numbers = self.latent_dim + (self._prior is not None)
        drawn: np.ndarray = np.random.RandomState(seed).standard_normal((count, numbers)).astype(np.float32)
        if self._prior is None:
            return drawn
        return np.concatenate([self._prior.run(["latents"], {"noise": row[None]})[0] for row in drawn])

    def pictures(self, latents: np.ndarray, batch: int = 256) -> np.ndarray:
        """(N, H, W, C) uint8 of latents (N, latent_dim) float32, `batch` at a time. UserError for another shape."""
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim or latents.dtype != np.float32:
            raise UserError(f"latents are (N, {self.latent_dim}) float32, not {latents.shape} {latents.dtype}")
        parts = [
            self._session.run(["images"], {"latents": np.ascontiguousarray(latents[first : first + batch])})[0]
            for first in range(0, len(latents), batch)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.size, self.size, self.channels), np.uint8)

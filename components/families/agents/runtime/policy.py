"""An exported policy: raw observations in, actions and their probabilities out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from components.errors import UserError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from components.bundle import Bundle


class Decision(NamedTuple):
    """actions: (B,) int64, the likeliest each. probabilities: (B, actions) float32."""

    actions: np.ndarray
    probabilities: np.ndarray


class Policy:
    """One variant ("float" or "int8") of a bundle. May be called from several threads at once."""

    def __init__(self, spec: dict[str, Any], session: InferenceSession) -> None:
        """spec: of the bundle. session: a graph from observations to actions and probabilities."""
        environment = spec["environment"]
        self.shape: tuple[int, ...] = tuple(environment["observation_shape"])
        self.dtype = np.dtype(environment["observation_dtype"])
        self.actions: int = environment["action_count"]
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

    def __call__(self, observations: np.ndarray) -> Decision:
        """Decides for observations (B, ...). Raises UserError for another shape, or for what is no number."""
        if observations.shape[1:] != self.shape or observations.ndim != len(self.shape) + 1:
            raise UserError(f"observations are (N, {', '.join(map(str, self.shape))}), not {observations.shape}")
        with np.errstate(over="ignore"):
            seen = np.ascontiguousarray(observations, self.dtype)
        if self.dtype.kind == "f":
            if not np.isfinite(seen).all():
                raise UserError("an observation holds what is no number of the game's (NaN, infinity, or too large)")
        elif not np.array_equal(seen, observations):
            raise UserError(f"an observation holds what is no {self.dtype}")
        return Decision(*self._session.run(["actions", "probabilities"], {"observations": seen}))

"""Muon for matrices and AdamW for the rest, as one optimizer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration that moves every singular value near 1 (Jordan et al. 2024, "Muon")."""


class MuonAdamW(torch.optim.AdamW):
    """AdamW, but in groups with `"muon": True` a step is the orthogonal matrix nearest to the gradient's momentum.

    Every direction of a matrix is then learned at one rate, however small its gradient: on these tunes it needs about
    half of AdamW's epochs. torch.optim.Muon always multiplies in bf16, which takes minutes on a CPU without it;
    here `dtype` says in what. A group's own `lr` is the length of the step, `momentum` its memory.
    """

    def __init__(self, groups: list[dict[str, Any]], dtype: torch.dtype, **adamw: Any) -> None:
        self.dtype = dtype
        super().__init__([{"muon": False, **group} for group in groups], **adamw)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["muon"]:
                for weight in group["params"]:
                    self._turn(weight, group)
        super().step()
        return loss

    @torch.no_grad()
    def _turn(self, weight: Tensor, group: dict[str, Any]) -> None:
        """Muon's step with Nesterov momentum; the gradient is used up, so that AdamW skips the weight."""
        gradient, weight.grad = weight.grad, None
        if gradient is None:
            return
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
            state["step"] = torch.zeros(())  # AdamW, whose loading this is, asks every state for it
        momentum: Tensor = state["momentum"]
        momentum.lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(momentum, group["momentum"])
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        tall = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
        weight.add_(orthogonal(ahead.to(self.dtype)), alpha=-group["lr"] * tall)


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix with the singular vectors of (rows, columns) `matrix` and singular values near 1."""
    a, b, c = COEFFICIENTS
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(STEPS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide

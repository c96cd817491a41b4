"""Pictures of the same latents after every epoch, kept in the checkpoint so that a killed run does not lose them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from components.families.generation.training.networks import Shape
from components.stats import great_circle

SHOWN = 10
"""Number of samples, and of pictures of an interpolation, after every epoch."""


class Progress(nn.Module):
    """film: (epochs, 2, SHOWN, H, W, C) uint8; of each epoch a row of samples, and one of an interpolation."""

    film: Tensor
    latents: Tensor
    recorded: Tensor

    def __init__(self, shape: Shape, latent_dim: int, epochs: int, seed: int) -> None:
        super().__init__()
        ends = torch.randn(SHOWN + 2, latent_dim, generator=torch.Generator().manual_seed(seed))
        way = torch.from_numpy(great_circle(ends[-2].numpy(), ends[-1].numpy(), SHOWN))
        self.register_buffer("latents", torch.stack([ends[:SHOWN], way]))
        sides = (shape.size, shape.size, shape.channels)
        self.register_buffer("film", torch.zeros(epochs, 2, SHOWN, *sides, dtype=torch.uint8))
        self.register_buffer("recorded", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def record(self, epoch: int, decode: Callable[[Tensor], Tensor]) -> None:
        """decode: latents (B, latent_dim) to pictures (B, H, W, C) uint8."""
        self.film[epoch] = decode(self.latents.flatten(0, 1)).view_as(self.film[epoch])
        self.recorded.fill_(epoch + 1)

    def frames(self, count: int) -> Tensor:
        """(frames, 2, SHOWN, H, W, C) uint8: up to `count` epochs, evenly from the first to the last recorded."""
        recorded = int(self.recorded)
        rows = torch.linspace(0, max(0, recorded - 1), max(1, min(count, recorded))).round().long()
        return self.film[rows]

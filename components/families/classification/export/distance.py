"""Is it a digit at all? How far a picture is from the training digits, as a graph beside the classifier's.

A classifier of digits calls every picture one, and is often sure of it. Distance to the training data asks another
question. Pictures are slightly blurred first, so that a stroke a pixel beside another is near it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from components.datasets.digits.reader import DIGITS, SIZE
from components.families.classification.training.ink import to_ink

KERNEL = (0.25, 0.5, 0.25)
"""Weights of the blur along each axis."""
LONGEST = float(SIZE)
"""Largest Euclidean distance of two pictures."""
AT_ONCE = 500
"""Pictures that are compared together: more only take memory."""


class Blur(nn.Module):
    """images (B, 28, 28) uint8 to blurred ink (B, 784), 0 to 1."""

    blur: Tensor

    def __init__(self) -> None:
        super().__init__()
        places = torch.arange(SIZE)
        apart = (places[:, None] - places).abs()
        self.register_buffer("blur", (apart == 0) * KERNEL[1] + (apart == 1) * KERNEL[0])

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = (self.blur @ to_ink(images)[:, 0] @ self.blur).flatten(1)
        return found


class Directions(Blur):
    """Blurred pictures (B, 784) of length 1; paper without ink stays zero, as far as can be."""

    def forward(self, images: Tensor) -> Tensor:
        return directions(super().forward(images))


class Nearest(nn.Module):
    """images (B, 28, 28) uint8 to distances (B,), 0 to 1, from the nearest training digit.

    By the angle, strength of ink and size of the pen count for little: 1 less the cosine. Otherwise it is Euclidean, as
    a share of the longest. components: (784, K), orthonormal. prototypes: (M, K), reduced by them.
    """

    components: Tensor
    prototypes: Tensor
    lengths: Tensor

    def __init__(self, components: Tensor, prototypes: Tensor, angle: bool) -> None:
        super().__init__()
        self.angle = angle
        self.read = Directions() if angle else Blur()
        self.register_buffer("components", components.clone())
        self.register_buffer("prototypes", prototypes)
        self.register_buffer("lengths", (prototypes**2).sum(dim=1))

    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = self.read(images)
        products: Tensor = (values @ self.components) @ self.prototypes.T
        if self.angle:
            return (1 - products.amax(dim=1)).clamp(min=0)
        # What the components leave out of the picture counts; what they leave out of prototypes is little.
        squared: Tensor = (values**2).sum(dim=1) + (self.lengths - 2 * products).amin(dim=1)
        return squared.clamp(min=0).sqrt() / LONGEST


class Subspaces(nn.Module):
    """images (B, 28, 28) uint8 to (B,), 0 to 1: the share of a picture that no digit's components explain.

    components: (10, 784, K), orthonormal for each digit (Watanabe's subspace method, CLAFIC).
    """

    components: Tensor

    def __init__(self, components: Tensor) -> None:
        super().__init__()
        self.read = Directions()
        self.register_buffer("components", components.clone())

    def forward(self, images: Tensor) -> Tensor:
        reduced: Tensor = self.read(images) @ self.components
        return (1 - (reduced**2).sum(dim=2).amax(dim=0)).clamp(min=0)


def directions(blurred: Tensor) -> Tensor:
    """Values (N, 784) of length 1; zeros stay zero, as far as can be."""
    found: Tensor = blurred / blurred.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return found


def nearest(blurred: Tensor, count: int, sizes: Sequence[int], angle: bool) -> list[Nearest]:
    """Keeps at most `count` blurred training pictures (N, 784), taken evenly; a model for each of `sizes`."""
    chosen = blurred[np.linspace(0, len(blurred) - 1, min(count, len(blurred))).astype(int)]
    values = directions(chosen) if angle else chosen
    components = principal(values)
    return [Nearest(components[:, -size:], values @ components[:, -size:], angle).eval() for size in sizes]


def subspaces(blurred: Tensor, labels: np.ndarray, sizes: Sequence[int]) -> list[Subspaces]:
    """A model for each of `sizes`, from blurred training pictures (N, 784) and their labels (N,)."""
    parts = [principal(directions(blurred[labels == digit])) for digit in range(DIGITS)]
    components = torch.stack(parts)
    return [Subspaces(components[:, :, -size:]).eval() for size in sizes]


def principal(values: Tensor) -> Tensor:
    """(784, 784): components of values (N, 784), the first one last. Not centred: products with pictures are wanted.

    By one thread: the last digits of LAPACK's result depend on how many there are, and a bundle's digest must not.
    """
    with _one_thread():
        found: Tensor = torch.linalg.eigh((values.T @ values).double())[1].float()
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def computed(model: nn.Module, images: np.ndarray) -> Tensor:
    """What a module makes of images (N, 28, 28) uint8, some at a time."""
    with torch.inference_mode():
        parts = torch.split(torch.from_numpy(np.ascontiguousarray(images)), AT_ONCE)
        return torch.cat([model(part) for part in parts]).clone()


def distances(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """(N,) of images (N, 28, 28) uint8."""
    found: np.ndarray = computed(model, images).numpy()
    return found

"""Is it a digit at all? How far a picture is from the nearest training digit, as a graph beside the classifier's.

A classifier of digits calls every picture one, and is often sure of it. Distance to the training data asks another
question. Slightly blurred pictures are compared by the angle between them: strength of ink and size of the pen count
for little then, and a wrong stroke for much. All pictures are reduced to their first principal components.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from components.datasets.digits.reader import SIZE
from components.families.classification.training.ink import to_ink

KERNEL = (0.25, 0.5, 0.25)
"""Weights of the blur along each axis, so that a stroke a pixel beside another is near it."""
AT_ONCE = 500
"""Pictures that are compared together: more only take memory."""


class Distance(nn.Module):
    """images (B, 28, 28) uint8 to (B,): 1 less the cosine with the nearest prototype.

    components: (784, K), orthonormal. prototypes: (M, K), of length at most 1.
    """

    blur: Tensor
    components: Tensor
    prototypes: Tensor

    def __init__(self, components: Tensor, prototypes: Tensor) -> None:
        super().__init__()
        places = torch.arange(SIZE)
        apart = (places[:, None] - places).abs()
        nearby = (apart == 0) * KERNEL[1] + (apart == 1) * KERNEL[0]
        self.register_buffer("blur", nearby)
        self.register_buffer("components", components)
        self.register_buffer("prototypes", prototypes)

    def forward(self, images: Tensor) -> Tensor:
        reduced: Tensor = self.directions(images) @ self.components
        return 1 - (reduced @ self.prototypes.T).amax(dim=1)

    def directions(self, images: Tensor) -> Tensor:
        """Blurred pictures (B, 784) of length 1; paper without ink stays zero, as far as can be."""
        blurred = (self.blur @ to_ink(images)[:, 0] @ self.blur).flatten(1)
        lengths: Tensor = blurred.norm(dim=1, keepdim=True)
        found: Tensor = blurred / lengths.clamp(min=1e-6)
        return found


def prototypes_of(images: np.ndarray, count: int, size: int) -> Distance:
    """Keeps at most `count` training pictures (N, 28, 28) uint8, taken evenly, reduced to `size` numbers each."""
    chosen = torch.from_numpy(images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)])
    blank = Distance(torch.eye(SIZE * SIZE), torch.zeros(1, SIZE * SIZE))
    with torch.inference_mode():
        directions = torch.cat([blank.directions(some) for some in torch.split(chosen, AT_ONCE)])
        # Not centred: cosines are wanted. eigh sorts from the smallest.
        components = torch.linalg.eigh((directions.T @ directions).double())[1][:, -size:].float()
        return Distance(components.clone(), (directions @ components).clone()).eval()


def distances(model: Distance, images: np.ndarray) -> np.ndarray:
    """(N,) of images (N, 28, 28) uint8."""
    with torch.inference_mode():
        return np.concatenate([model(some).numpy() for some in torch.split(torch.from_numpy(images), AT_ONCE)])

"""Pictures of digits as every model of them reads them. Free of Lightning, which the export does without."""

from __future__ import annotations

from torch import Tensor


def to_ink(images: Tensor) -> Tensor:
    """Bytes (B, 28, 28) as (B, 1, 28, 28) float32 from 0 to 1."""
    return images.unsqueeze(1).float() / 255

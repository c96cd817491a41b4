"""Pictures side by side on sheets, as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def sheet(images: np.ndarray, across: int) -> np.ndarray:
    """Pictures (N, H, W, C) side by side in rows of `across`: (rows * H, across * W, C), the rest white."""
    count, height, width, channels = images.shape
    rows = -(-count // across)
    cells = np.full((rows * across, height, width, channels), 255, np.uint8)
    cells[:count] = images
    tiled = cells.reshape(rows, across, height, width, channels).transpose(0, 2, 1, 3, 4)
    return tiled.reshape(rows * height, across * width, channels)


def save_png(path: Path, picture: np.ndarray) -> None:
    """picture: (H, W, C) uint8, grey (C = 1) or RGB."""
    from PIL import Image

    Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(path)

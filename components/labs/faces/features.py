"""What is counted of pictures, to see whether those that are asked about are like those that were measured."""

from __future__ import annotations

import numpy as np

from components.drift import PICTURE_SIDE, Reference, numbers, picture_sides

GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601), as Pillow has them."""
BRIGHTNESS, SHARPNESS, SCORE = "brightness", "sharpness", "score"


def features(pictures: np.ndarray, logits: np.ndarray) -> dict[str, np.ndarray]:
    """Each feature (N,) of pictures (N, size, size, 3) uint8 as the model sees them, and of its logits (N,).

    sharpness: log10 of the variance of the Laplacian (Pech-Pacheco et al. 2000) of grey levels 0 to 255, each the mean
    of 2 x 2 pixels: a JPEG that is decoded at half its size differs from a prepared picture in the finest detail.
    """
    count, side = pictures.shape[:2]
    grey = (pictures.astype(np.float32) @ GREY).reshape(count, side // 2, 2, side // 2, 2).mean(axis=(2, 4))
    inner = grey[:, 1:-1, 1:-1]
    laplacian = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * inner
    return {
        BRIGHTNESS: grey.mean(axis=(1, 2)),
        SHARPNESS: np.log10(1 + laplacian.var(axis=(1, 2))),
        SCORE: np.asarray(logits),
    }


def references(pictures: np.ndarray, logits: np.ndarray) -> dict[str, Reference]:
    """What requests are compared with: pictures of faces that the model has not learned from, and its logits."""
    found = features(pictures, logits)
    return {
        BRIGHTNESS: numbers(found[BRIGHTNESS], "mean grey level of what the model sees, 0 to 255"),
        SHARPNESS: numbers(found[SHARPNESS], "log10 of 1 + variance of the Laplacian of what the model sees"),
        SCORE: numbers(found[SCORE], "log-odds that the picture shows a face"),
        PICTURE_SIDE: picture_sides(),
    }

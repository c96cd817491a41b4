"""The worst mistakes as pictures: missed faces with the lowest logits, false positives with the highest."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.bundle import Bundle
from components.labs.faces.audit.table import Scored
from components.report.page import data_address
from components.stats import sigmoid

LEARNED = {
    "reconstructions": "Above faces, below what the model can say of them with its latent features alone.",
    "traversals": "A row a latent feature, of those that vary most: a mean face as the feature goes from low to high.",
    "favoured": "Above the faces that resampling would show most often, below the ones it would show least.",
}
"""Pictures that `export` puts into the bundle of a model with latent features, and what they show."""
QUALITY = 88
"""Quality of the JPEGs; 64 x 64 pixels are then about 2 kB."""


@dataclass(frozen=True)
class Picture:
    """address: the picture itself, as a data: address.  caption: what it shows, and the detector's probability."""

    address: str
    caption: str


@dataclass(frozen=True)
class Worst:
    misses: tuple[Picture, ...]
    false_positives: tuple[Picture, ...]


def learned(bundle: Bundle) -> tuple[Picture, ...]:
    """What a model with latent features has learned; nothing for others."""
    found = {name: f"{name}.png" for name in LEARNED if f"{name}.png" in bundle.manifest.files}
    return tuple(
        Picture(data_address((bundle.folder / file).read_bytes(), "png"), LEARNED[name]) for name, file in found.items()
    )


def worst(scored: Scored, images: NDArray[np.uint8], threshold: float, count: int) -> Worst:
    """Up to `count` of each, the worst first; of a photograph's crops only the worst one."""
    table, logits = scored.table, scored.logits
    missed = np.flatnonzero(table.face & ~(logits > threshold))
    passed = np.flatnonzero(~table.face & (logits > threshold))
    misses = missed[np.argsort(logits[missed], kind="stable")][:count]
    ordered = passed[np.argsort(-logits[passed], kind="stable")]
    _, first = np.unique(table.photo[ordered], return_index=True)
    false_positives = ordered[np.sort(first)][:count]
    labels = [", ".join(filter(None, of)) for of in zip(table.race, table.gender, table.age, strict=True)]
    context = table.context()
    return Worst(
        misses=tuple(_pictures(misses, images, logits, labels)),
        false_positives=tuple(_pictures(false_positives, images, logits, context.tolist())),
    )


def _pictures(
    rows: NDArray[np.intp], images: NDArray[np.uint8], logits: NDArray[np.float64], labels: list[str]
) -> Iterable[Picture]:
    for row, probability in zip(rows.tolist(), sigmoid(logits[rows]).tolist(), strict=True):
        said = f"{probability:.0%}" if 0.01 < probability < 0.99 else f"{probability:.2g}"
        yield Picture(_address(images[row]), f"{labels[row] or 'no labels'}: {said}")


def _address(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=QUALITY)
    return data_address(content.getvalue(), "jpeg")
